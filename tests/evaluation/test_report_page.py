"""The report says what was found: no more digits than are known, nothing left out, nothing from files taken as HTML."""

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from invented_evaluations import NUMBERS, PROTOCOL, classes, evaluation, protocol, score, scores

from cardigan.errors import CardiganError
from cardigan.evaluation.protocol import Protocol
from cardigan.evaluation.report.figures import POINTS, Line, line_chart
from cardigan.evaluation.report.glossary import GLOSSARY
from cardigan.evaluation.report.numbers import beside, bound, compact, percent, rounded, with_interval
from cardigan.evaluation.report.page import duration, page, write_report
from cardigan.evaluation.report.scale import position_of, scale_of
from cardigan.evaluation.result import ClassShare, Curve, Evaluation, Exhibit, Subject

KEYS = {"fd", "kd", "is", "precision", "recall", "density", "coverage", "class-coverage", "class-kl", "fd-worst-class"}
KEYS |= {"cas", "swd", "spectrum", "duplicates", "support", "memorisation", "ppl"}
NASTY = '<script>alert("1")</script> \' & \n é \udcff \x00 \u202e'


class Page(HTMLParser):
    """The text of a page, its tags with their attributes, and whether they are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (4.1234, 3.81, 4.43, "4.1 (3.8 to 4.4)"),
        (1412.3, 1399.0, 1425.0, "1,410 (1,400 to 1,420)"),
        (0.77214, 0.7701, 0.7742, "0.772 (0.770 to 0.774)"),
        (183_512, 121_000, 310_000, "180,000 (120,000 to 310,000)"),
        (-0.0001, -0.004, 0.004, "0.000 (-0.004 to 0.004)"),
        (3.2e-7, 2.8e-7, 3.6e-7, "3.2e-07 (2.8e-07 to 3.6e-07)"),
        (10.0, 10.0, 10.0, "10 (10 to 10)"),
        (0.123456, None, None, "0.123"),
        (float("nan"), None, None, "not a number"),
    ],
)
def test_a_value_has_the_digits_that_its_interval_supports(
    value: float, low: float | None, high: float | None, text: str
) -> None:
    assert with_interval(score(value=value, low=low, high=high)) == text


def test_limits_are_no_finer_than_the_value_beside_them() -> None:
    one = score()
    assert (beside(one, one.floor), beside(one, one.ceiling), beside(one, None)) == ("1.7", "1,410", "–")
    assert (bound(0.023, 1), bound(1, 2), bound(0.0, 3), bound(4.92, 0)) == ("0.02", "1", "0", "5")
    assert (rounded(987), rounded(0.5), rounded(12345.6)) == ("987", "0.5", "12,300")
    assert (percent(0.0781, 0.073, 0.083), percent(0.0962), percent(1.0)) == ("7.8%", "9.6%", "100%")
    assert [compact(each) for each in (0, 250_000, 1.2e6, 0.05)] == ["0", "250k", "1.2M", "0.05"]
    assert [duration(each) for each in (1, 10.02, 204)] == ["1 minute", "10 minutes", "3.4 hours"]


def test_positions_run_from_trivial_to_real() -> None:
    assert position_of(score(value=1412.3)) == pytest.approx(0) and position_of(score(value=1.693)) == pytest.approx(1)
    assert position_of(score(value=(1412.3 * 1.693) ** 0.5)) == pytest.approx(0.5)  # counted in factors
    assert position_of(score(value=0.4, floor=0.8, ceiling=0.0, better="higher")) == pytest.approx(0.5)
    assert position_of(score(value=0.4, floor=0.8, ceiling=0.001, better="higher")) == pytest.approx(0.5, abs=1e-3)
    assert position_of(score(value=900, ceiling=500)) < 0 and position_of(score(value=-1.0)) > 1  # type: ignore[operator]
    assert scale_of(score(floor=None)) is None and scale_of(score(floor=2.0, ceiling=2.0)) is None


def test_every_known_metric_is_explained() -> None:
    assert set(GLOSSARY) >= KEYS and {metric for metric, *_ in NUMBERS} - set(GLOSSARY) == {"sharpness-of-mine"}
    assert all(len(entry.text) > 60 and entry.text.endswith(".") for entry in GLOSSARY.values())


def test_the_report_shows_everything_in_order(tmp_path: Path) -> None:
    found = evaluation()
    path = write_report(found, tmp_path / "new" / "report.html")
    html = Page(path.read_text("utf-8"))
    assert not html.open and path == tmp_path / "new" / "report.html" and len(list(path.parent.iterdir())) == 1
    headings = ["mnist-mlp-0", "Summary", "Scores", "Classes", "Exhibits", "Curves", "Remarks", "Protocol"]
    starts = [html.text.index(heading, 30) for heading in headings]
    assert starts == sorted(starts)
    for words in (*found.summary, *found.remarks, "1,203,200 samples", "10 minutes", "2026-11-21"):
        assert words in html.text
    for one in found.scores:
        assert one.name in html.text and with_interval(one).split(" ")[0] in html.text
    for each in classes():
        assert any((bar.get("aria-label") or "").startswith(f"{each.name}: generated") for bar in html.all("svg"))
    assert [image["alt"] for image in html.all("img")] == [f"{each.title}. {each.caption}" for each in found.exhibits]
    charts = [bar["aria-label"] or "" for bar in html.all("div") if bar.get("class") == "plot"]
    assert len(charts) == 2 * 4 and sum("over samples" in each for each in charts) == 4


def test_the_protocol_is_there_in_full() -> None:
    text = Page(page(evaluation(sampling="temperature 0.7"))).text
    for field in fields(Protocol):
        assert field.name.replace("_", " ") in text
        value = getattr(protocol(sampling="temperature 0.7"), field.name)
        for each in value.values() if isinstance(value, dict) else [value]:
            assert (f"{each:,}" if isinstance(each, int) else str(each)) in text
    assert "sampling" not in Page(page(evaluation())).text  # of what writes no sentences


def test_what_all_scores_share_is_said_once() -> None:
    html = page(evaluation())
    common, differing = html.split("For each score")
    assert (
        html.count(PROTOCOL.reference_hash) == 1 and PROTOCOL.reference_hash in common.split("Common to all scores")[1]
    )
    assert differing.count("inception") == 1 and "5,000" in differing
    assert "For each score" not in page(Evaluation(Subject("x", "run"), scores()[:1]))


def test_nothing_of_a_file_is_taken_as_html(tmp_path: Path) -> None:
    one = score(name=NASTY, note=NASTY, metric=NASTY, reference=NASTY, libraries={NASTY: NASTY}, subject=NASTY)
    found = Evaluation(
        Subject(NASTY, NASTY, NASTY, 1, 1.0, NASTY),
        (one, replace(one, better=NASTY)),  # type: ignore[arg-type]
        (ClassShare(NASTY, 0.1, 0.0, 0.2, 0.1),),
        (NASTY,),
        (NASTY,),
        (Exhibit(NASTY, NASTY, b"no picture"),),
        (Curve(NASTY, (0, 1), (0.0, 1.0), (1.0, 2.0)),),
    )
    html = Page(write_report(found, tmp_path / "report.html").read_text("utf-8"))
    assert not html.open and not html.all("script")
    assert html.text.count("alert") > 10 and r"\udcff" in html.text and r"\x00" in html.text and r"\u202e" in html.text
    assert not any(name.startswith("on") for _, attributes in html.tags for name in attributes)


def test_nothing_is_loaded_and_nothing_runs() -> None:
    html = Page(page(evaluation()))
    assert {name for name, _ in html.tags} & {"script", "link", "iframe", "object", "base", "a"} == set()
    sources = [attributes["src"] for _, attributes in html.tags if "src" in attributes]
    assert sources and all(source and source.startswith("data:image/png;base64,") for source in sources)
    assert not {"href", "xlink:href", "srcset", "action"} & {name for _, attributes in html.tags for name in attributes}
    assert "url(" not in page(evaluation()) and "@import" not in page(evaluation())
    policies = [meta["content"] for meta in html.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_it_can_be_read_without_seeing_it() -> None:
    html = Page(page(evaluation()))
    assert html.all("html")[0]["lang"] == "en" and len(html.all("h1")) == 1
    assert all(cell.get("scope") in ("col", "row") for cell in html.all("th"))
    assert len(html.all("caption")) == len(html.all("table"))
    drawn = [each for each in html.all("svg") if each.get("aria-hidden") != "true"]
    assert drawn and all(each.get("role") == "img" and each.get("aria-label") for each in drawn)


def test_an_evaluation_of_almost_nothing_renders() -> None:
    bare = Page(page(Evaluation(Subject("x", "folder"), ())))
    assert "x" in bare.text and not bare.all("section") and not bare.open
    none = {"low": None, "high": None, "floor": None, "ceiling": None}
    odd = (
        score(value=float("nan"), **none),
        score(value=float("inf")),
        score(value=-9.0),
        score(value=0.0, low=0.0, high=0.0),
    )
    assert "not a number" in Page(page(Evaluation(Subject("x", "folder"), odd))).text
    gaps = Curve("score/fd", (0, 1, 2), (0.0, 0.0, 0.0), (1.0, float("nan"), 2.0))
    empty = Curve("score/kd", (), (), ())
    html = Page(page(Evaluation(Subject("x", "run"), (), (ClassShare("a", 0.0, 0.0, 0.0, 0.0),), curves=(gaps, empty))))
    assert "from 1 to 2" in str(html.tags) and not html.open and "nan" not in str(html.tags)


def test_many_classes_show_those_farthest_from_the_real_ones_first() -> None:
    many = tuple(ClassShare(f"class {at}", 0.001 * (at != 777), 0.0, 0.002, 0.001) for at in range(1000))
    html = page(Evaluation(Subject("x", "run"), (), many))
    assert html.index(">class 777<") < html.index(">class 0<") and "960 more classes" in html


def test_long_curves_keep_their_extremes() -> None:
    values = [0.0] * 10_000
    values[4321] = 5.0
    chart = line_chart("loss", "samples", [Line("loss", range(10_000), values)])
    path = re.findall(r' d="(M[^"H]*)"', chart)[0]
    assert path.count("L") < POINTS and len(set(re.findall(r"\d+ ([\d.]+)", path))) > 1


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CardiganError, match="cannot be written"):
        write_report(evaluation(), tmp_path / "file" / "report.html")
