"""A browser shows the pages as meant: nothing fails, nothing is fetched, nothing overflows a narrow screen."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from invented_evaluations import checkup, classes, curves, evaluation, exhibits, saved, score
from PIL import Image

from cardigan.evaluation.comparison import compare
from cardigan.evaluation.report.compared import write_comparison
from cardigan.evaluation.report.page import write_report
from cardigan.evaluation.result import ClassShare, Exhibit

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
pytestmark = pytest.mark.skipif(not BROWSER, reason="no chromium, chromium-browser or google-chrome on this machine")

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run", "--hide-scrollbars", "--enable-logging=stderr"]
WIDTHS = (1200, 360)
LONG = "a_very_long_name_without_any_break_in_it_" * 4
PROBE = """<script>addEventListener("load", async () => {
  await Promise.all([...document.images].map(each => each.decode().catch(() => null)));
  const seen = [...document.querySelectorAll("main *")].filter(each => !each.closest(".scroll, svg, thead, caption"));
  const wide = seen.filter(each => each.getBoundingClientRect().right > innerWidth + 1);
  parent.postMessage({ name: NAME, width: innerWidth, scroll: document.documentElement.scrollWidth,
    wide: wide.map(each => each.outerHTML.slice(0, 120)), pictures: [...document.images].map(each => each.naturalWidth),
    fetched: performance.getEntriesByType("resource").map(each => each.name).filter(each => !each.startsWith("data:")),
  }, "*"); });</script>"""
"""What a copy of a page tells the page around it."""
AROUND = """<!doctype html><meta charset="utf-8"><body><script>const found = [];
addEventListener("message", event => { found.push(event.data); document.body.dataset.found = JSON.stringify(found); });
</script>"""


def browse(page: Path, profile: Path, *flags: str) -> tuple[str, str]:
    """The page in the end, and what the browser logged."""
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, Path]:
    """A usual report, one full of long and odd names, and a comparison."""
    usual = replace(evaluation(), health=checkup())
    odd = replace(
        usual,
        subject=replace(usual.subject, name=LONG, recipe=LONG),
        scores=(
            score(name=LONG, note=LONG, reference=LONG),
            score(value=1.2e-9, low=1.1e-9, high=1.3e-9),
            *usual.scores,
        ),
        classes=(ClassShare(LONG, 0.1, 0.05, 0.15, 0.1, 12345.678, 0.5), *classes()),
        summary=(LONG, "<script>alert(1)</script>"),
        exhibits=(Exhibit(LONG, LONG, usual.exhibits[2].png), *usual.exhibits),
        health=checkup(LONG),
    )
    runs = {"one": 1.0, LONG: 1.5}
    found = compare([(name, saved(factor)) for name, factor in runs.items()])
    drawn = {name: curves(factor) for name, factor in runs.items()}
    return {
        "report": write_report(usual, folder / "report.html"),
        "odd": write_report(odd, folder / "odd.html"),
        "comparison": write_comparison(
            found, drawn, {name: exhibits()[0].png for name in runs}, folder / "comparison.html"
        ),
    }


@pytest.fixture(scope="module")
def probed(pages: dict[str, Path], folder: Path) -> dict[str, dict[str, Any]]:
    """What the browser found in each page at each width: copies in frames, with a probe where the policy was."""
    around = AROUND
    for name, page in pages.items():
        for width in WIDTHS:
            probe = PROBE.replace("NAME", json.dumps(f"{name} {width}"))
            html = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text("utf-8"))
            copy = folder / f"{name}-{width}.html"
            copy.write_text(html.replace("</body>", f"{probe}</body>"), "utf-8")
            around += f'<iframe src="{copy.as_uri()}" width="{width}" height="900" style="border: 0"></iframe>'
    (folder / "around.html").write_text(around, "utf-8")
    flags = ("--dump-dom", "--virtual-time-budget=3000", "--window-size=1300,1000")
    dom, _ = browse(folder / "around.html", folder / "profile", *flags)
    found = json.loads(unescape(re.findall(r'data-found="([^"]*)"', dom)[0]))
    return {each["name"]: each for each in found}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "odd", "comparison"])
def test_nothing_overflows_or_is_fetched_and_every_picture_is_shown(
    pages: dict[str, Path], probed: dict[str, dict[str, Any]], name: str, width: int
) -> None:
    found = probed[f"{name} {width}"]
    assert found["width"] == found["scroll"] == width and found["wide"] == []
    assert found["fetched"] == []
    assert len(found["pictures"]) == pages[name].read_text("utf-8").count("<img") >= 2 and all(found["pictures"])


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (360, True)])
def test_the_browser_has_nothing_to_log_and_shows_light_or_dark(
    pages: dict[str, Path], tmp_path: Path, width: int, dark: bool
) -> None:
    picture = tmp_path / "shot.png"
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    _, log = browse(pages["odd"], tmp_path, scheme, f"--window-size={width},1000", f"--screenshot={picture}")
    assert "CONSOLE" not in log
    with Image.open(picture) as shot:
        grey = shot.convert("L")
    assert grey.width == width and (grey.getpixel((0, 0)) < 50) == dark  # type: ignore[operator]
    assert len(grey.crop((0, 50, width, 1000)).getcolors() or []) > 20  # something is written there
