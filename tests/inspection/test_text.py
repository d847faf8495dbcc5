"""`cardigan inspect` of texts: what is said of them, and a recipe that training takes."""

import json
from pathlib import Path

import pytest

from cardigan import CardiganError, load_recipe
from cardigan.check_text import check_text
from cardigan.cli import main
from cardigan.data.sentences import Sentences
from cardigan.inspection.text import is_text

WORDS = ("a", "dog", "cat", "sees", "the", "moon", "and", "runs", "away", "from", "ice")


def sentences(count: int = 400) -> list[str]:
    return [
        " ".join(WORDS[(number * step) % 11] for step in range(1, 4 + number % 6)) + f" n{number % 37}"
        for number in range(count)
    ]


def write(path: Path, lines: list[str]) -> str:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return str(path)


def test_what_is_planted_is_counted(tmp_path: Path) -> None:
    each = list(dict.fromkeys(sentences()))
    train, test = [*each[:200], *each[:40], "", " ", "山水"], [*each[200:230], *each[:10], each[200]]
    write(tmp_path / "mine" / "train.txt", train)
    write(tmp_path / "mine" / "test.txt", test)
    found = check_text(str(tmp_path / "mine"), out=tmp_path / "out")
    survey = found.proposal.survey
    assert survey.counts["train"] + survey.counts["validation"] == 241 and survey.counts["test"] == 41
    assert survey.empty == 2 and survey.leaked["test"] in range(5, 12)
    assert survey.repeated["train"] + survey.repeated["validation"] == 40 and survey.repeated["test"] == 1
    text = "\n".join(found.lines())
    for part in ("train", "empty", "in train too", "are few", "Latin", "examples"):
        assert part in text
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["counts"] == survey.counts and report["characters"]["largest"] == survey.characters.largest


@pytest.mark.parametrize("tokens", [None, "bpe", "characters", "words"])
def test_training_would_take_the_recipe(tokens: str | None, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.txt", sentences())
    overrides = [f"data.tokens={tokens}", "data.lowercase=true"] if tokens else []
    found = check_text(source, [*overrides, "training.minutes=1"], out=tmp_path / "out")
    recipe = load_recipe(tmp_path / "out" / "recipe.yaml")
    assert recipe == found.proposal.recipe and recipe.training.minutes == 1 and recipe.training.samples is None
    data = recipe.data
    assert isinstance(data, Sentences) and data.source == source
    assert data.tokens == (tokens or "words") and data.lowercase == bool(tokens)
    assert data.load().form.vocabulary == found.proposal.vocabulary and recipe.game.kind == "sequence"
    told = {key for key, _, _ in found.proposal.reasons}
    assert "training.samples" not in told and ("data.vocabulary" in told) == (tokens == "bpe")


def test_verse_long_texts_translations_and_talk(tmp_path: Path) -> None:
    verse = write(
        tmp_path / "verse.txt",
        ["".join(chr(0x4E00 + (7 * at + 13 * place) % 300) for place in range(12)) for at in range(90)],
    )
    assert check_text(verse, out=tmp_path / "out").proposal.recipe.data.tokens == "characters"
    long = [line for each in sentences() for line in ((each, "") if len(each) % 3 else (each,))]
    data = check_text(write(tmp_path / "long.txt", long), out=tmp_path / "out").proposal.recipe.data
    assert (data.unit, data.tokens, data.length) == ("window", "characters", 64)
    for name in ("train", "val", "test"):
        write(tmp_path / "parallel" / f"{name}.en", sentences(300))
        write(tmp_path / "parallel" / f"{name}.fr", [each[::-1] for each in sentences(300)])
    found = check_text(str(tmp_path / "parallel"), out=tmp_path / "out")
    assert (
        found.proposal.recipe.data.inputs,
        found.proposal.recipe.data.outputs,
        found.proposal.recipe.data.tokens,
    ) == ("en", "fr", "bpe")
    assert found.proposal.source_lengths is not None and " -> " in "\n".join(found.lines())
    other = check_text(str(tmp_path / "parallel"), ["data.inputs=fr", "data.outputs=en"], out=tmp_path / "out")
    assert (other.proposal.recipe.data.inputs, other.proposal.recipe.data.outputs) == ("fr", "en")
    talk = [json.dumps({"topic": "x", "turns": sentences(400)[at : at + 4]}) for at in range(0, 400, 4)]
    data = check_text(write(tmp_path / "talk.jsonl", talk), out=tmp_path / "out").proposal.recipe.data
    assert (data.column, data.context) == ("turns", 2) and data.load().codec.context == 2


def test_what_is_text(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "a.txt", ["text"])
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    (tmp_path / "plain").write_text("text")
    (tmp_path / "binary").write_bytes(b"\0\1\2" * 100)
    (tmp_path / "cut").write_bytes(b"x" + "山".encode() * 2**16)
    for name, expected in (
        ("folder", True),
        ("latin.txt", True),
        ("plain", True),
        ("cut", True),
        ("binary", False),
        ("nowhere", False),
    ):
        assert is_text(str(tmp_path / name)) is expected, name
    (tmp_path / "folder" / "b.png").write_bytes(b"\x89PNG")
    assert not is_text(str(tmp_path / "folder"))
    assert is_text("captions") and not is_text("mnist") and not is_text("x\0y") and not is_text("x" * 5000)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "mine.txt", sentences())
    with pytest.raises(SystemExit) as stop:
        main(["inspect", source, "data.length=12", "--out", str(tmp_path / "out")])
    assert stop.value.code == 0 and "Proposed recipe" in capsys.readouterr().out
    assert load_recipe(tmp_path / "out" / "recipe.yaml").data.length == 12


@pytest.mark.parametrize("override", ["data.tokens=syllables", "data.colour=red", "data.length=1", "game.start=never"])
def test_wrong_overrides_are_one_line(override: str, tmp_path: Path) -> None:
    source = write(tmp_path / "mine.txt", sentences())
    with pytest.raises(CardiganError) as error:
        check_text(source, [override], out=tmp_path / "out")
    assert override.partition("=")[0] in str(error.value) and not (tmp_path / "out").exists()


def test_named_text(real: Path, tmp_path: Path) -> None:
    found = check_text("captions", out=tmp_path / "out")
    assert found.proposal.survey.counts["test"] == 10_000 and found.proposal.recipe.data.source == "captions"
    assert found.proposal.survey.scripts["Latin"] > 0.99


def test_auto_trains_what_is_proposed(tmp_path: Path) -> None:
    from cardigan.proposal import propose

    verse = write(tmp_path / "verse.txt", "".join(f"a line about {number} birds\n" for number in range(200)))
    proposal = propose(verse, ["training.samples=1k"])
    assert proposal.recipe == check_text(verse, ["training.samples=1k"], out=tmp_path / "out").proposal.recipe
    assert any("data.tokens=" in line for line in proposal.lines())
