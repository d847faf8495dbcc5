"""HTML that escapes by default: what is not markup already is text."""

import unicodedata
from collections.abc import Iterable
from html import escape
from pathlib import Path

from cardigan.files import writable, write_text

_VOID = frozenset({"img", "meta"})
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Markup(str):
    """HTML as it stands; every other string is text and is escaped."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Any text for HTML: escaped, and what no file can hold (control characters, broken encodings) made visible."""
    if isinstance(value, Markup):
        return value
    return Markup(escape("".join(_visible(letter) for letter in str(value))))


def _visible(letter: str) -> str:
    """Control characters, lone surrogates and marks that turn the direction of writing, as escapes."""
    hidden = unicodedata.category(letter) in ("Cc", "Cs", "Cf") and letter not in "\n\t\u200d"
    return ascii(letter)[1:-1] if hidden else letter


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """One element; attributes that are None or False are left out, `class_` is class, other underscores are hyphens."""
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    inside = "".join(text(child) for child in children)
    return Markup(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{inside}</{name}>")


def _attribute(name: str, value: object) -> str:
    if value is False:
        return ""
    name = name.rstrip("_").replace("_", "-") if name != "viewBox" else name
    return f" {name}" if value is True else f' {name}="{text(value)}"'


def joined(parts: Iterable[object]) -> Markup:
    """Parts one after another."""
    return Markup("\n".join(text(part) for part in parts))


def section(title: str, *children: object, about: str = "") -> Markup:
    """A part of the page with its heading; empty where it has no content."""
    content = [child for child in children if child]
    if not content:
        return Markup()
    lead = [tag("p", about, class_="about")] if about else []
    return tag("section", tag("h2", title), *lead, *content)


def document(title: str, *body: object) -> str:
    """A whole page: self-contained, with a policy that forbids it to load or to run anything."""
    style = Markup(Path(__file__).with_name("style.css").read_text("utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", style),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', *body)), lang='en')}\n"


def write(path: Path, page: str) -> Path:
    """Write the HTML `page` to `path`.

    Raises:
        CardiganError: the file cannot be written.
    """
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, page)
    return path
