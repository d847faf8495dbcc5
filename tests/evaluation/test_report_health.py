"""The report shows the health of a run's training; what files hold is text there; unwatched runs are judged as ever."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from invented_evaluations import checkup, evaluation

from cardigan.evaluation.report.figures import timeline
from cardigan.evaluation.report.health import health
from cardigan.evaluation.report.page import page
from cardigan.evaluation.subject import checkup_of
from cardigan.health.checkup import check_up
from cardigan.health.diagnosis import Reading
from cardigan.run import Run


def test_a_report_shows_verdict_timeline_interventions_advice_and_curves() -> None:
    html = page(replace(evaluation(), health=checkup()))
    start = html.index("Health of the training")
    shown = html[start : html.index("<h2>Curves</h2>")]
    assert 'class="verdict critical">critical: Mode collapse' in shown
    said = re.findall(r'aria-label="([^"]*)"', shown)
    assert "Mode collapse: critical from 500k to 800k samples; critical since 1,200k samples" in said
    assert any(each.startswith("Steps too large: warning from") for each in said)
    assert "back to 400,000" in shown and "game.penalties.r1.weight=3" in shown
    assert shown.count("Add R1 and R2") == 1
    assert sum(" over samples" in each for each in said) == 6  # one chart a group


def test_without_readings_there_is_no_such_section() -> None:
    assert "Health of the training" not in page(evaluation())
    assert health(None) == ""


def test_a_healthy_run_has_no_table_of_diagnoses() -> None:
    shown = health(check_up([Reading(1_000 * at, {"discriminator/accuracy": 0.6}) for at in range(1, 9)]))
    assert 'class="verdict well">healthy' in shown and "<table" not in shown


def test_text_of_files_stays_text() -> None:
    shown = health(checkup("<script>alert(1)</script>\u202e"))
    assert "<script" not in shown and "\u202e" not in shown and "&lt;script&gt;" in shown


def test_bars_lie_within_the_clock_and_a_moment_is_seen() -> None:
    drawn = timeline([(0, 50, "warning"), (100, 100, "critical")], 100, "said")
    bars = [tuple(map(float, each)) for each in re.findall(r'x="([\d.]+)%" y="25%" width="([\d.]+)%"', drawn)]
    assert bars == [(0.0, 50.0), (99.0, 1.0)]


@pytest.mark.parametrize("content", [None, b"", b"\x00{", b"[1]\n"])
def test_a_run_without_readings_is_evaluated_all_the_same(tmp_path: Path, content: bytes | None) -> None:
    run = Run(tmp_path)
    if content is not None:
        run.health_file.write_bytes(content)
    assert checkup_of(run) is None
    run.health_file.unlink(missing_ok=True)
    run.health_file.mkdir()
    assert checkup_of(run) is None
