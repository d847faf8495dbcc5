"""`cardigan doctor`: what it says, of which runs, and that no file, however damaged, brings more than one line."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardigan.cli import main
from cardigan.doctor import PERIODS, RAMP, examine, printable, sparkline, watch
from cardigan.errors import CardiganError
from cardigan.health.checkup import check_up, periods
from cardigan.health.diagnosis import Finding, Reading, Rule
from cardigan.health.history import read
from cardigan.health.interventions import read_interventions
from cardigan.health.rules import PENALTIES, RULES
from cardigan.health.signals import BY_PLAYER, OF_SAMPLES, telling
from cardigan.run import Run

WELL = {
    "progress": 1.0,
    "discriminator/accuracy": 0.7,
    "discriminator/accuracy_held_out": 0.69,
    "discriminator/gap": 0.5,
    "discriminator/gradient_norm": 0.4,
    "discriminator/step": 0.01,
    "generator/gradient_norm": 0.8,
    "generator/step": 0.01,
    "generator/from_average": 0.1,
    "discriminator/r1": 0.01,
    "discriminator/adversarial": 0.6,
    "samples/diversity": 0.9,
    "samples/coverage": 0.9,
    "samples/classes": 10.0,
    "samples/duplicates": 0.0,
    "samples/distance": 0.5,
    "data/distance": 0.45,
    "data/spread": 1.5,
    "data/duplicates": 0.0,
    "data/classes": 10.0,
    "not_finite": 0.0,
}
COLLAPSED = WELL | {"samples/classes": 1.0, "samples/coverage": 0.1, "samples/diversity": 0.1}


def line(clock: int, signals: dict[str, Any]) -> str:
    return json.dumps({"samples": clock, "signals": signals, "diagnoses": []}) + "\n"


def made(folder: Path, *signals: dict[str, Any]) -> Run:
    """A run with these readings, at 100,000, 200,000 ... samples."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text("name: invented\n", "utf-8")
    lines = [line(100_000 * (at + 1), each) for at, each in enumerate(signals)]
    (folder / "health.jsonl").write_text("".join(lines), "utf-8")
    return Run(folder)


def told(run: Run) -> str:
    return "\n".join(examine(run).lines())


def cardigan(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(each) for each in arguments])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_a_healthy_run(tmp_path: Path) -> None:
    report = examine(made(tmp_path / "a", *[WELL] * 6))
    assert report.lines()[0] == "healthy: nothing was wrong in 6 readings"
    assert "not begun at 600k samples; 6 readings, the last at 600k" in report.lines()[1]
    text = "\n".join(report.lines())
    for words in ("Accuracy", "discriminator, held out", "generator / discriminator", "10 (real 10)", "Penalty"):
        assert words in text
    assert "advice" not in text and "timeline" not in text and "interventions" not in text
    assert examine(made(tmp_path / "b", WELL)).lines()[0].endswith("so far, after only 1 reading")


def test_an_ill_run_is_told_since_when_and_what_helps(tmp_path: Path) -> None:
    text = told(made(tmp_path / "a", *[WELL] * 5, *[COLLAPSED] * 4))
    assert text.startswith("critical: Mode collapse\n")
    assert "critical  since 600k  Mode collapse" in text and "1 of 10 classes" in text
    assert text.count("Add R1 and R2") == 1 and "advice on what has passed" not in text


def test_what_has_passed_is_told_as_passed(tmp_path: Path) -> None:
    text = told(made(tmp_path / "a", *[WELL] * 5, *[COLLAPSED] * 4, *[WELL] * 3))
    assert text.startswith("healthy: nothing is wrong now; earlier: Mode collapse\n")
    assert "critical  600k to 900k  Mode collapse" in text and "advice on what has passed" in text


def test_of_many_periods_the_newest_are_shown(tmp_path: Path) -> None:
    found = examine(made(tmp_path / "a", *([WELL] * 3 + [COLLAPSED] * 3) * 6))
    text = "\n".join(found.lines())
    assert len(found.checkup.periods) == 6 and text.count("Mode collapse (and 3 times before)") == 1
    assert sum("  Mode collapse" in each for each in found.lines() if "000" in each or "k" in each) >= PERIODS
    assert len(found.plain()["timeline"]) == 6


def test_interventions_are_shown(tmp_path: Path) -> None:
    run = made(tmp_path / "a", *[WELL] * 5)
    done = {"samples": 300_000, "action": "back to 200,000", "reason": "Mode collapse", "changes": ["a=1", "b=2"]}
    lines = [
        json.dumps(done | {"back_to": 200_000, "effect": "gone", "more": [1]}),
        "half a li",
        '{"samples": 3}',
        "[]",
    ]
    run.guard_file.write_text("\n".join(lines), "utf-8")
    text = told(run)
    assert "at 300k  back to 200,000: Mode collapse\n      a=1, b=2\n      gone" in text
    (shown,) = examine(run).plain()["interventions"]
    assert shown == done | {"back_to": 200_000, "effect": "gone", "diagnosis": "", "ends": False, "effect_at": 0}


def test_the_exit_code_is_0_however_ill_the_run_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(tmp_path / "a", *[COLLAPSED] * 9)
    assert cardigan("doctor", run.folder) == 0 and capsys.readouterr().out.startswith("critical")
    assert cardigan("doctor", run.folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["level"] == "critical" and found["timeline"][0]["name"] == "mode-collapse" and found["readings"] == 9
    assert cardigan("doctor", run.folder, "--watch", "--json") == 0  # it does not train: told once
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "arguments", "needle"),
    [
        (None, [], "has no reading of its health (health.jsonl)"),
        (b"", [], "has no reading of its health"),
        (b"\xff\xfe\x00 {", [], "is damaged: it holds no reading"),
        (b'{"samples": 1e999, "signals": {}}\n[[]]\n', [], "is damaged"),
        (b'{"samples": 5, "sig', [], "is damaged"),
        (None, ["--steps", "5"], "--steps: only with --equilibrium"),
        (None, ["--watch", "--equilibrium"], "--watch: not with --equilibrium"),
    ],
)
def test_what_cannot_be_told_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, arguments: list[str], needle: str
) -> None:
    run = made(tmp_path / "a", WELL)
    run.health_file.unlink()
    if content is not None:
        run.health_file.write_bytes(content)
    assert cardigan("doctor", run.folder, *arguments) == 2
    error = capsys.readouterr().err
    assert needle in error and error.count("\n") == 1


def test_it_is_told_without_heavy_packages(tmp_path: Path) -> None:
    run = made(tmp_path / "a", WELL)
    script = (
        "import sys\nfrom cardigan.doctor import examine\n"
        f"examine({str(run.folder)!r}).lines()\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_an_unknown_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cardigan("doctor", tmp_path / "nothing") == 2
    assert "is no run" in capsys.readouterr().err


def test_a_running_run_is_watched_until_it_ends(tmp_path: Path) -> None:
    run = made(tmp_path / "a", WELL)
    run.health_file.unlink()
    holding = run.locked()
    holding.__enter__()
    with pytest.raises(CardiganError, match="wait for the first"):
        examine(run)
    events: Iterator[Any] = iter(
        [
            lambda: run.health_file.write_text(line(100, WELL)),
            lambda: None,  # nothing new: nothing is told
            lambda: run.health_file.open("a").write(line(200, WELL)[:30]),
            lambda: run.health_file.write_text(line(100, WELL) + line(200, WELL)),
            lambda: holding.__exit__(None, None, None),
        ]
    )
    found = list(watch(run, lambda seconds: next(events)()))
    assert [(len(each.checkup.readings), each.state) for each in found] == [
        (1, "training"),
        (2, "training"),
        (2, "not begun"),
    ]


def test_text_from_files_moves_no_cursor(tmp_path: Path) -> None:
    run = made(tmp_path / "a", *[WELL | {"\x1b[2J\u202e\ud800/accuracy": 1.0}] * 4)
    done = {"samples": 1, "action": "\x1b[31m\ud800", "reason": "\r"}
    run.guard_file.write_text(json.dumps(done), "utf-8")
    for each in examine(run).lines():
        assert each.isprintable() and each.encode() is not None
    assert printable("a\x1b\n\ud800é") == "a\\x1b\\n\\ud800é"


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == RAMP
    assert sparkline([1.0, float("nan"), 1.0]) == "= =" and sparkline([float("nan")]) == ""
    assert sparkline([1, 10, 100, 1000]) == sparkline([0, 1, 2, 3])  # in factors
    assert len(sparkline(range(1000))) == 24 and sparkline(range(1000))[::23] == "_#"
    assert sparkline(range(5)).isascii()


@given(
    st.lists(st.sampled_from(["", "info", "warning", "critical"]), max_size=30), st.integers(1, 4), st.integers(0, 4)
)
def test_the_course_of_a_rule_is_what_it_says_reading_after_reading(
    levels: list[Any], patience: int, grace: int
) -> None:
    def sees(history: Any) -> Finding | None:
        level = levels[history[-1].clock]
        return Finding(level, f"at {history[-1].clock}") if level else None

    rule = Rule("r", "R", sees, "Do.", patience=patience, grace=grace)
    history = [Reading(clock, {}) for clock in range(len(levels))]
    course = rule.course(history)
    assert course == [rule.diagnose(history[: count + 1]) for count in range(len(history))]
    found = periods(rule, history)
    assert sum(len(each.diagnoses) for each in found) == sum(each is not None for each in course)
    assert [each.start for each in found] == sorted(each.start for each in found)
    assert all(one.end < other.start for one, other in pairwise(found))
    assert any(each.holds for each in found) == bool(course and course[-1])


NAMES = [
    *WELL,
    *(f"{player}/{signal}" for player in ("a", "b_c") for _, signal, _, _ in BY_PLAYER),
    *(f"a/{penalty}" for penalty in PENALTIES),
    *(name for _, signal, _, real, _ in OF_SAMPLES for name in (signal, real) if name),
    *("game/effect", "game/changed", "game/hidden", "game/loops", "game/length_linked", "a/from_average"),
    "a/adversarial.wave",
]
VALUES = st.one_of(st.floats(), st.integers(), st.sampled_from([0, 1, 1e308, -1e308, 5e-324, 10**400, "1", "x", None]))
SIGNALS = st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=5)), VALUES, max_size=25)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), VALUES, st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
ENTRY = st.fixed_dictionaries(
    {"samples": st.one_of(st.integers(0, 10**6), JSON), "signals": SIGNALS, "diagnoses": JSON}
)
DONE = st.fixed_dictionaries(
    {"samples": st.one_of(st.integers(0, 10**6), JSON), "action": JSON, "reason": JSON},
    optional={"changes": JSON, "back_to": JSON, "effect": JSON},
)


def written(rows: list[Any], rest: bytes) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in rows).encode() + rest


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(ENTRY, JSON), max_size=8).map(lambda rows: rows * 2),
    st.lists(st.one_of(DONE, JSON), max_size=4),
    st.binary(max_size=20),
)
def test_no_file_brings_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Any], done: list[Any], rest: bytes
) -> None:
    from cardigan.evaluation.report.health import health

    run = made(tmp_path_factory.mktemp("fuzz"))
    run.health_file.write_bytes(written(entries, rest))
    run.guard_file.write_bytes(written(done, rest))
    try:
        found = examine(run)
    except CardiganError as error:
        assert not read(run.health_file) and str(run.health_file.name) in str(error)
        return
    assert all(each.isprintable() for each in found.lines())
    json.dumps(found.plain(), allow_nan=False)
    assert health(found.checkup)


def test_very_deep_json_is_left_out(tmp_path: Path) -> None:
    run = made(tmp_path / "a", WELL)
    run.health_file.write_text("[" * 100_000 + "\n" + line(5, WELL) + "9" * 5000 + "\n", "utf-8")
    assert len(read(run.health_file)) == 1 and read_interventions(run.health_file) == []


def test_a_long_ill_run_is_told_in_a_moment() -> None:
    ill = COLLAPSED | {"generator/gradient_norm": 1e-9, "discriminator/accuracy": 1.0, "samples/distance": 3.0}
    readings = [Reading(5_000 * at, ill if at else WELL) for at in range(600)]
    found = check_up(readings)
    assert {"mode-collapse", "vanishing-gradient"} <= {each.name for each in found.now}
    assert len(telling(readings)) > 10 and len(RULES) >= len(found.now)
