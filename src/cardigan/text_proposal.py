"""A recipe for a user's own texts, chosen by looking at them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cardigan.data.base import Watch, silent
from cardigan.data.sentences import Sentences
from cardigan.data.sources.source import Split
from cardigan.data.text import places
from cardigan.data.text.division import divided, divided_whole
from cardigan.data.text.tables import form_of, read_table
from cardigan.data.text.texts import Wanted, read_texts, read_whole
from cardigan.data.text.tokenised import Tokenised
from cardigan.inspection.text import Spread, TextSurvey, survey_texts
from cardigan.recipe import Recipe, build, flatten, layers, load_recipe
from cardigan.settings import explain
from cardigan.tokens import PAD, UNKNOWN

LAYOUT = 0.05
"""Share of empty lines from which on a file is one text laid out in lines."""
FEW_SPACES = 0.03
"""Share of white space below which a text has no words to speak of."""
UNSEEN = 0.06
"""Share of words that are not in train up to which words are taken for tokens."""
WINDOW = 64
"""Tokens of a window that is proposed."""
VIEWS, LEAST, MOST = 16, 20_000, 400_000
"""Times that likelihood sees each text, and the samples that this comes to at least and at most."""

Choice = tuple[str, Any, str]


@dataclass(frozen=True)
class TextProposal:
    """A recipe for texts, and what it rests on.

    Attributes:
        survey: of the texts.
        lengths: tokens of a sample of train, its END counted; up to 512.
        source_lengths: of what it is made from.
        vocabulary: tokens in all.
        unknown: split -> share of its tokens that the vocabulary lacks.
        recipe: proposed.
        reasons: (key, value, reason) of each choice that was not asked for.
    """

    survey: TextSurvey
    lengths: Spread
    source_lengths: Spread | None
    vocabulary: int
    unknown: Mapping[Split, float]
    recipe: Recipe
    reasons: tuple[tuple[str, str, str], ...]


def propose_text(source: str, overrides: Iterable[str] = (), watch: Watch = silent) -> TextProposal:
    """Look at the texts of `source` and propose a recipe for them, with the user's `overrides` over it.

    Args:
        overrides: such as "data.tokens=bpe", "data.inputs=de", "training.minutes=30".

    Raises:
        CardiganError: in one line, what is wrong with the source and where.
    """
    overriding = layers(overrides)
    asked: dict[str, Any] = {}
    for layer in overriding:
        asked |= layer.get("data", {})
    watch("reading text", 0, 0)
    fields, reasons = _pairing(source, asked)
    data = _sentences(source, {**fields, **asked})
    survey, unit = _survey(data, "unit" in asked)
    reasons += unit
    paired, window = data.inputs is not None or data.context is not None, bool(unit) or data.unit == "window"
    reasons += _tokens(survey, paired, window, asked.get("tokens"))
    if window:
        reasons.append(("data.length", WINDOW, "tokens of a window; longer ones take longer, in proportion"))
    chosen = {key.removeprefix("data."): value for key, value, _ in reasons} | asked
    whole = {} if window else {"length": None, "source_length": None, "longer": "cut"}
    data = _sentences(source, {**chosen, **whole})
    parts = {split: data.load(split, watch=watch) for split in survey.counts}
    lengths, source_lengths = _lengths(parts["train"])
    reasons += _widths(lengths, source_lengths)
    count = len(parts["train"])
    start = min(MOST, max(LEAST, VIEWS * count))
    reasons.append(("game.start", start, f"likelihood sees each of {count:,} texts about {start / count:,.0f} times"))
    reasons.append(("training.samples", start * 4 // 3, "a quarter of them against the discriminator"))
    recipe = _recipe(source, paired, reasons, overriding)
    given = {key for layer in overriding for key in flatten(layer)}
    if given & {"training.samples", "training.minutes"}:
        given.add("training.samples")
    told = tuple((key, str(value), reason) for key, value, reason in reasons if key not in given)
    unknown = {split: _unknown(part) for split, part in parts.items()}
    vocabulary = parts["train"].form.vocabulary
    return TextProposal(survey, lengths, source_lengths, vocabulary, unknown, recipe, told)


def _pairing(source: str, asked: Mapping[str, Any]) -> tuple[dict[str, Any], list[Choice]]:
    """What parallel files and conversations are taken for, where nothing is said."""
    if asked.keys() & {"inputs", "outputs", "context", "column"}:
        return {}, []
    found = places.texts_in(places.locate(source)[0]) if places.is_folder(source) else []
    if len(languages := places.endings(found)) > 1:
        first, second = languages[:2]
        reason = (
            f"parallel files of {', '.join(languages)}; the other way round: data.inputs={second} data.outputs={first}"
        )
        return {"inputs": first, "outputs": second}, [
            ("data.inputs", first, reason),
            ("data.outputs", second, "what is written"),
        ]
    file = places.files_of(source)["train"][0]
    if form_of(file) == "jsonl":
        table = read_table(file)
        lists = [name for name in table.columns if table.holds_lists(name)]
        if len(lists) == 1:
            reason = f"{lists[0]!r} holds lists: conversations, whose replies are made from what was said before"
            return {"column": lists[0], "context": 2}, [("data.column", lists[0], reason), ("data.context", 2, reason)]
    return {}, []


def _sentences(source: str, fields: Mapping[str, Any]) -> Sentences:
    plain = {**fields, "source": source}
    try:
        return Sentences.model_validate(plain)
    except ValidationError as error:
        raise explain(error, Sentences, plain, "data") from None


def _survey(data: Sentences, unit_given: bool) -> tuple[TextSurvey, list[Choice]]:
    """The survey, and the unit where lines are no samples."""
    reasons = list[Choice]()
    if data.unit == "line":
        found = read_texts(data.wanted)
        train = found["train"]
        blank = train.empty / (len(train) + train.empty)
        one_text = data.inputs is None and data.context is None and data.column is None
        if unit_given or not one_text or blank < LAYOUT:
            cut = divided(found, data.test, data.validation, data.source)
            texts = {split: each.samples for split, each in cut.items()}
            inputs = {split: each.inputs for split, each in cut.items()}
            return survey_texts(data.source, texts, inputs, sum(each.empty for each in found.values())), []
        reasons.append(("data.unit", "window", f"{blank:.0%} of the lines are empty: one long text, cut into windows"))
    whole = divided_whole(read_whole(Wanted(data.source, data.column)), data.test, data.validation)
    lines = {split: [line for line in text.split("\n") if line.strip()] for split, text in whole.items()}
    empty = sum(text.count("\n") + 1 - len(lines[split]) for split, text in whole.items())
    return survey_texts(data.source, lines, {}, empty, whole=True), reasons


def _tokens(survey: TextSurvey, paired: bool, window: bool, asked: str | None) -> list[Choice]:
    """What a token is, and how many there are."""
    unseen = survey.unseen.get("validation", 0.0)
    tokens, reason = "bpe", f"{unseen:.1%} of the words of validation are not in train"
    if survey.spaces < FEW_SPACES:
        tokens, reason = "characters", f"{survey.spaces:.1%} of the text is space: few words"
    elif window:
        tokens, reason = "characters", "a long text"
    elif paired:
        reason = "byte pairs spell any word"
    elif unseen <= UNSEEN:
        tokens = "words"
    found: list[Choice] = [("data.tokens", tokens, reason)]
    tokens = asked or tokens
    if tokens == "characters" and survey.once > 0.1 * survey.alphabet:
        found.append(("data.rare", 2, f"{survey.once:,} of {survey.alphabet:,} characters occur once"))
    if tokens == "bpe":
        size = 8000 if survey.words > 10_000 else 2000
        found.append(("data.vocabulary", size, f"for {survey.words:,} different words"))
    return found


def _lengths(train: Tokenised) -> tuple[Spread, Spread | None]:
    sources = None if train.inputs is None else Spread.of((train.inputs != PAD).sum(dim=1).tolist())
    return Spread.of((train.samples != PAD).sum(dim=1).tolist()), sources


def _widths(lengths: Spread, sources: Spread | None) -> list[Choice]:
    found = list[Choice]()
    for key, each in (("data.length", lengths), ("data.source_length", sources)):
        if each is not None and each.largest > 1.25 * each.most + 4:
            found.append((key, each.most, f"99.5 % have no more; the longest has {each.largest:,}"))
    return found


def _recipe(source: str, paired: bool, reasons: Sequence[Choice], overriding: list[dict[str, Any]]) -> Recipe:
    plain = load_recipe("translate-de-en" if paired else "captions").plain()
    contents: dict[str, Any] = {"name": _name(source), "about": f"Proposed for {source}"}
    data: dict[str, Any] = {"kind": "sentences", "source": source}
    plain["data"] = data
    for key, value, _ in reasons:
        section, name = key.split(".")
        if section == "data":
            data[name] = value
        else:
            contents.setdefault(section, {})[name] = value
    recipe = build(plain, contents, *overriding)
    return recipe.but(data=recipe.data.anchored())


def _name(source: str) -> str:
    name = Path(source).name.partition(".")[0] or "text"
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "text"


def _unknown(part: Tokenised) -> float:
    tokens = part.samples[part.samples != PAD]
    return float((tokens == UNKNOWN).float().mean())
