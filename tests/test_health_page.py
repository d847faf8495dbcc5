"""docs/health.md says what the rules do: every diagnosis, its signals, its bounds and its advice; every signal."""

import ast
import inspect
import re
from pathlib import Path
from textwrap import dedent

import pytest

import cardigan
from cardigan.health.diagnosis import YOUTH, YOUTH_SAMPLES, Rule
from cardigan.health.history import read
from cardigan.health.rules import RULES
from cardigan.health.settings import BATCHES, USUAL
from cardigan.training.monitor import FIRST, GROWTH

PAGE = (Path(__file__).parent.parent / "docs" / "health.md").read_text("utf-8")
ROWS = {found[1]: line for line in PAGE.splitlines() if (found := re.match(r"\| \*\*.*?\*\* \(`([\w-]+)`\) \|", line))}
SIGNAL = re.compile(r"[a-z_]*/[a-z_.]+|not_finite|loss_scale")


def source(rule: Rule) -> ast.AST:
    return ast.parse(dedent(inspect.getsource(rule.sees)))


def bounds(rule: Rule) -> set[float]:
    """The numbers that what `rule` sees is compared with; 0 is no bound."""
    compared = (node for node in ast.walk(source(rule)) if isinstance(node, ast.Compare))
    inside = (each for node in compared for each in ast.walk(node) if isinstance(each, ast.Constant))
    return {float(each.value) for each in inside if isinstance(each.value, int | float) and each.value}


def signals(rule: Rule) -> set[str]:
    """The signals that `rule` looks at, those of a player by what follows its name."""
    strings = (node.value for node in ast.walk(source(rule)) if isinstance(node, ast.Constant))
    return {each for each in strings if isinstance(each, str) and SIGNAL.fullmatch(each)}


def test_every_diagnosis_is_there_and_no_other() -> None:
    assert list(ROWS) == [rule.name for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_diagnosis_is_told_as_it_is_made(rule: Rule) -> None:
    title, seen, after, advice = (cell.strip() for cell in ROWS[rule.name].strip("| ").split(" | "))
    assert title.startswith(f"**{rule.title}**") and advice == rule.advice
    assert after == f"{rule.patience} / {rule.grace}" + (" / young" if rule.learns else "")
    told = {float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w])", seen)}
    assert bounds(rule) <= told, "docs/health.md names other bounds than the rule"
    named = re.findall(r"`([^`]+)`", seen)
    assert all(any(name.endswith(signal) for name in named) for signal in signals(rule))


def test_what_is_said_of_all_of_them_is_true() -> None:
    assert f"the first {YOUTH:.0%} of the budget or {YOUTH_SAMPLES:,} samples" in " ".join(PAGE.split())
    assert f"The first comes after {FIRST:,} samples, later ones each {GROWTH}" in " ".join(PAGE.split())
    health = cardigan.load_recipe("digits").health
    assert f"`health.interval` samples ({health.interval}: {USUAL:,}, or {BATCHES} batches" in PAGE
    assert f"`health.samples` ({health.samples})" in PAGE


def test_every_signal_of_a_reading_is_explained(tmp_path: Path) -> None:
    run = cardigan.train(
        "toy-ring",
        [
            "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
            "game.networks.width=8",
            "training.samples=1536",
            "data.count=2000",
            "records.grid=4",
        ],
        out=tmp_path / "run",
    )
    explained = set(re.findall(r"`([^`]+)`", PAGE[PAGE.index("## Signals") : PAGE.index("## Equilibrium")]))
    patterns = [re.compile(re.sub(r"PLAYER|TURN|\bD\b", r"\\w+", each).replace(".", r"\.")) for each in explained]
    of_losses = {name for name in run.scalars()[-1] if "/" in name}  # explained together
    found = {name for entry in read(run.health_file) for name in entry.reading.signals}
    assert found
    for name in found - of_losses:
        assert any(pattern.fullmatch(name) for pattern in patterns), f"{name} is not in docs/health.md"
