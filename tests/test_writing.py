"""Runs that write sentences, used as people use them: generate, prompt, translate texts and files, chat."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cardigan
from cardigan import CardiganError, Run
from cardigan.cli import main
from cardigan.networks.sequences.sampling import Sampling

LINES = str(Path(__file__).parent / "properties" / "sentences.jsonl")
SMALL = [
    *("game.generator.width=16", "game.discriminator.width=8", "training.batch=16", "training.samples=320"),
    *("game.start=288", "game.warmup=16", "engine={device: cpu, precision: fp32, matmul: highest, threads: 1}"),
]


def trained(folder: Path, recipe: str, data: str, *overrides: str) -> Run:
    return cardigan.train(recipe, [f"data={{source: '{LINES}', {data}}}", *SMALL, *overrides], out=folder)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("runs") / "words", "captions", "column: text")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("runs") / "pairs"
    return trained(folder, "translate-de-en", "inputs: source, outputs: text, vocabulary: null")


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("runs") / "replies", "dialogue", "column: turns, vocabulary: null")


def says(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[list[str], str]:
    """Lines that the command prints, and what it remarks."""
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    assert ended.value.code == 0
    printed = capsys.readouterr()
    return printed.out.splitlines(), printed.err


def fails(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line that the command ends with."""
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_every_sentence_begins_with_the_prompt(words: Run) -> None:
    writing = cardigan.load_writer(words)
    made = writing.generate(5, prompt="two men")
    assert all(each.startswith("two men") for each in made)
    assert writing.generate(3, seed=4, prompt="two men") == writing.generate(5, seed=4, prompt="two men")[:3]


def test_greedy_is_one_sentence_and_top_k_of_one_is_greedy(words: Run) -> None:
    writing = cardigan.load_writer(words)
    greedy = writing.generate(4, how=Sampling(temperature=0))
    assert len(set(greedy)) == 1
    assert writing.generate(4, how=Sampling(top_k=1)) == greedy
    assert len(set(writing.generate(20))) > 1


def test_generate_prints_and_writes(words: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed, _ = says(capsys, "generate", words.folder, "-n", "7", "--seed", "3")
    assert len(printed) == 7
    target = tmp_path / "new" / "lines.txt"
    (told,), _ = says(capsys, "generate", words.folder, "-n", "7", "--seed", "3", "--out", target)
    assert target.read_text("utf-8").splitlines() == printed
    assert told == f"7 sentences -> {target}"


def test_what_the_vocabulary_lacks_is_named(words: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--prompt: the run's vocabulary lacks 'zebra', 'xylophone'" in fails(
        capsys, "generate", words.folder, "--prompt", "a zebra in xylophone"
    )
    assert "--prompt: " in fails(capsys, "generate", words.folder, "--prompt", "a cat sits " * 30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--temperature", "-1"], "--temperature: -1 is out of range"),
        (["--top-p", "0"], "--top-p: 0 is out of range"),
        (["--label", "1"], "--label: only for runs of pictures"),
        (["--truncation", "0.5"], "--truncation: only for runs of pictures"),
    ],
)
def test_bad_options(words: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in fails(capsys, "generate", words.folder, *arguments)


def test_runs_are_used_as_what_they_are(words: Run, pairs: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cardigan translate" in fails(capsys, "generate", pairs.folder)
    assert "cardigan generate" in fails(capsys, "translate", words.folder, "--text", "a cat")
    assert "nothing was named" in fails(capsys, "translate", pairs.folder)
    assert "--mask: only for runs of pictures" in fails(capsys, "translate", pairs.folder, LINES, "--mask", LINES)
    assert "it replies to nothing" in fails(capsys, "chat", words.folder)
    with pytest.raises(CardiganError, match="has no generator of noise"):
        cardigan.load(words)


def test_texts_and_files_keep_their_lines(pairs: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.de"
    first.write_text("ein hund sitzt im park\n\neine katze singt am meer\n", "utf-8")
    second.write_text("zwei maenner\r\n", "utf-8")
    says(capsys, "translate", pairs.folder, first, second, "--out", tmp_path / "out")
    made = (tmp_path / "out" / "a.txt").read_text("utf-8").split("\n")
    assert len(made) == 4 and made[1] == made[3] == ""
    texts = ("--text", "ein hund sitzt im park", "--text", "eine katze singt am meer")
    printed, _ = says(capsys, "translate", pairs.folder, *texts)
    assert [" ".join(line.split()) for line in printed] == [made[0], made[2]]
    assert (tmp_path / "out" / "b.de.txt").read_text("utf-8").count("\n") == 1


def test_a_file_that_is_no_text_writes_nothing(pairs: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("ein hund\n", "utf-8")
    bad.write_bytes(b"\x00\x01\x02")
    assert "bad.txt" in fails(capsys, "translate", pairs.folder, good, bad, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "an input be overwritten" in fails(capsys, "translate", pairs.folder, good, "--out", tmp_path)


def test_a_text_that_is_too_long_is_said_to_be(pairs: Run, capsys: pytest.CaptureFixture[str]) -> None:
    _, remark = says(capsys, "translate", pairs.folder, "--text", "ein hund sitzt " * 60)
    assert "only the beginning of" in remark


def test_a_beam_is_no_less_likely_than_greed(pairs: Run) -> None:
    writing = cardigan.load_writer(pairs)
    texts = ["ein hund sitzt im park", "eine frau schlaeft zu hause"]
    source = writing.sources(texts)
    scores = []
    for width in (1, 8):
        made = [answer.text for answer in writing.translate(texts, width=width)]
        tokens = writing.words.encode(made, writing.form.shape[0])
        with torch.no_grad():
            logs = writing.writer.log_probabilities(tokens, source).sum(1)
        scores.append(logs / ((5 + (tokens > 0).sum(1)) / 6))
    assert (scores[1] >= scores[0] - 1e-4).all()


def test_a_conversation_in_the_terminal(replies: Run) -> None:
    command = [sys.executable, "-m", "cardigan", "chat", str(replies.folder)]
    said = subprocess.run(
        command, input="who sings?\n\nwhere?\n", capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert said.returncode == 0 and said.stderr == ""
    assert len(said.stdout.splitlines()) >= 2


def test_of_a_long_conversation_the_end_is_heard(replies: Run, capsys: pytest.CaptureFixture[str]) -> None:
    writing = cardigan.load_writer(replies)
    length = writing.form.source[0] if writing.form.source else 0
    long, last = "where " * length, "who sings?"
    answer = writing.reply([long, last])
    assert not answer.cut and answer == writing.reply([last])
    cut = writing.reply([last, f"{long} {last}"])
    assert cut.cut and cut == writing.reply([f"now {long} {last}"])
    assert torch.equal(writing._heard([f"{long} {last}"])[0, -2:], writing.words.encode([last])[0, -3:-1])


def test_the_tokenizer_lies_in_the_run_as_plain_files(words: Run) -> None:
    names = {path.name for path in words.codec_folder.iterdir()}
    assert {"codec.json", "tokenizer.json", "vocabulary.txt"} <= names
    assert "park" in (words.codec_folder / "vocabulary.txt").read_text("utf-8").split("\n")
    (words.codec_folder / "tokenizer.json").rename(words.codec_folder / "aside")
    try:
        with pytest.raises(CardiganError, match=r"tokenizer\.json"):
            cardigan.load_writer(words)
    finally:
        (words.codec_folder / "aside").rename(words.codec_folder / "tokenizer.json")
