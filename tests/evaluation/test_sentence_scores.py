"""Runs that write sentences, judged; closed forms of what is measured of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cardigan import CardiganError, Run, load_recipe, train
from cardigan.cli import main
from cardigan.data.base import silent
from cardigan.data.oracle import OracleSentences
from cardigan.data.sentences import Sentences
from cardigan.evaluation.compare import compare
from cardigan.evaluation.evaluate import evaluate
from cardigan.evaluation.language import Language, ways
from cardigan.evaluation.measures import MEASURES
from cardigan.evaluation.real import Real, look_at_real
from cardigan.evaluation.report.page import page
from cardigan.evaluation.result import Evaluation, Exhibit, Subject
from cardigan.evaluation.scene import Found, Scene
from cardigan.evaluation.terminal import lines
from cardigan.evaluation.view import View
from cardigan.extractors import local, open_extractor
from cardigan.extractors.raw import Raw
from cardigan.extractors.sentence_network import SentenceNetwork
from cardigan.metrics.frechet import frechet_distance
from cardigan.networks.sequences.sampling import Sampling
from cardigan.tokens import END, content, lengths

PARALLEL = Path(__file__).parents[1] / "properties" / "sentences.jsonl"
WORDS = {
    "det": ["the", "a", "one", "my", "no"],
    "noun": ["dog", "cat", "king", "<script>alert(1)</script>", "friend", "bird", "man"],
    "verb": ["sees", "eats", "finds", "likes", "hears", "sells"],
    "when": ["today", "at home", "in the park", "at night", "now"],
}


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST", 2_000)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 different sentences of a small grammar."""
    random, found = np.random.default_rng(0), dict[str, None]()
    while len(found) < 1000:
        parts = [random.choice(WORDS[kind]) for kind in ("det", "noun", "verb", "det", "noun", "when")]
        found[" ".join(parts)] = None
    path = tmp_path_factory.mktemp("corpus") / "grammar.txt"
    path.write_text("\n".join(found) + "\n")
    return path


def data_of(corpus: Path, **more: object) -> Sentences:
    settings = {"source": str(corpus), "tokens": "words", "test": 0.25, "validation": 0.15, **more}
    return Sentences.model_validate(settings)


def trained(recipe: str, folder: Path, data: dict[str, object], *overrides: str) -> Run:
    short = [
        "training.samples=64",
        "training.batch=8",
        "game.start=16",
        "game.warmup=8",
        "game.generator.width=8",
        "game.discriminator.width=8",
        "records={scalars: 32, checkpoint: 32, first_grid: 32, grid: 4}",
        "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
    ]
    return train(load_recipe(recipe).but(*short, *overrides, data=data), out=folder / recipe)


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    data = {"source": str(corpus), "column": None, "test": 0.25, "validation": 0.15}
    return trained("captions", tmp_path_factory.mktemp("runs"), data)


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Run:
    data = {"source": str(PARALLEL), "inputs": "source", "outputs": "text", "vocabulary": None, "test": 0.3}
    return trained("translate-de-en", tmp_path_factory.mktemp("runs"), data)


def scene_of(data: Sentences, **language: object) -> tuple[Scene, Real]:
    """Real test sentences in the place of samples."""
    form = data.load("train").form
    real = look_at_real(data, "test", None, None, Raw(form), silent)
    known = {
        "decode": real.data.codec.decode,
        "truth": real.data.codec.decode(real.reference.samples),
        "learned": real.data.codec.decode(real.train.samples),
        **language,
    }
    made = Language(**known)  # type: ignore[arg-type]
    return Scene(real.reference, real.reference, real.train, real.held_out, language=made), real


def measured(scene: Scene, name: str) -> dict[str, Found]:
    assert MEASURES[name].why_not(scene) == ""
    return {found.key: found for found in MEASURES[name].run(scene)}


def values(found: Evaluation) -> dict[str, float]:
    return {score.protocol.metric: score.value for score in found.scores}


def test_a_generator_that_replays_train_is_all_copies(corpus: Path) -> None:
    scene, real = scene_of(data_of(corpus))
    found = measured(replace(scene, generated=real.train), "novelty")
    assert found["copies"].value == 1 and found["copies"].low is not None and found["copies"].low > 0.99
    assert found["copies"].floor == 0  # all sentences of the corpus differ
    assert all(found[f"novelty-{order}"].value == 0 for order in range(2, 6))
    assert measured(replace(scene, generated=real.train), "diversity")["unique"].value == 1


def test_real_sentences_in_the_place_of_samples_reach_the_floor(corpus: Path) -> None:
    scene, real = scene_of(data_of(corpus))
    found = measured(replace(scene, generated=real.held_out), "novelty")
    assert all(each.value == pytest.approx(each.floor) for each in found.values())
    assert found["novelty-5"].value > 0.2  # unseen sentences say new things
    assert measured(scene, "lengths")["length-distance"].value == 0
    assert measured(scene, "lengths")["length"].value == pytest.approx(
        np.mean(list(map(len, scene.reference.sentences)))
    )
    assert measured(scene, "bleu")["bleu-5"].value == pytest.approx(1)
    floor = measured(scene.with_generated(real.floor), "bleu")["bleu-5"]
    trivial = measured(scene.with_generated(real.trivial), "bleu")["bleu-5"]
    assert 1 > floor.value > trivial.value and floor.low is None


def test_one_sentence_over_and_over_has_no_variety(corpus: Path) -> None:
    scene, real = scene_of(data_of(corpus))
    one = replace(real.reference, samples=real.reference.samples[:1].expand(100, -1), count=100)
    assert measured(replace(scene, generated=one), "self-bleu")["self-bleu-5"].value == pytest.approx(1)
    found = measured(replace(scene, generated=one), "diversity")
    assert found["unique"].value == 0.01
    assert found["distinct-1"].value == pytest.approx(len(set(one.sentences[0])) / sum(map(len, one.sentences)))
    circles = real.reference.samples[:50].clone()
    circles[:, :3] = circles[:, :1]
    assert measured(replace(scene, generated=replace(one, samples=circles)), "loops")["loops"].value == 1


def test_a_writer_that_knows_nothing_has_the_logarithm_of_its_vocabulary(corpus: Path) -> None:
    data = data_of(corpus)
    size = data.load("train").form.vocabulary

    def surprise(tokens: Tensor, source: Tensor | None) -> Tensor:
        return lengths(tokens).double() * log(size)

    scene, _ = scene_of(data, surprise=surprise)
    found = measured(scene, "nll")["nll"]
    assert found.value == pytest.approx(log(size)) and f"perplexity {size}" in found.note
    assert found.low == pytest.approx(found.high)
    assert found.ceiling is not None and 1 < found.ceiling < log(size)


@pytest.mark.parametrize(("knows", "wanted"), [(False, (0.1, 0.2, 0.5)), (True, (0.76, 0.96, 1.0))])
def test_the_true_reply_among_ten(knows: bool, wanted: tuple[float, ...]) -> None:
    """Who knows all replies to a turn finds the true one; of these data, several turns have more than one."""
    data = Sentences(source=str(PARALLEL), column="turns", context=1, tokens="words", test=0.3)
    test = data.load("test")
    both = test.take(torch.arange(len(test)))
    assert both.source is not None
    truth: dict[bytes, set[bytes]] = {}
    for sample, source in zip(both.sample, both.source, strict=True):
        truth.setdefault(source.numpy().tobytes(), set()).add(sample.numpy().tobytes())

    def surprise(tokens: Tensor, source: Tensor | None) -> Tensor:
        assert source is not None
        right = [a.numpy().tobytes() in truth[b.numpy().tobytes()] for a, b in zip(tokens, source, strict=True)]
        return lengths(tokens) * (1 - 0.5 * torch.tensor(right).double() * knows)

    scene, _ = scene_of(data, surprise=surprise, sources=["?"], replies=True)
    found = measured(scene, "replies")
    for k, value in zip((1, 2, 5), wanted, strict=True):
        assert found[f"recall-{k}"].value == pytest.approx(value, abs=0.03)
        assert found[f"recall-{k}"].ceiling == k / 10


def test_perfect_translations_and_copied_sources() -> None:
    data = Sentences(source=str(PARALLEL), inputs="source", outputs="text", tokens="words", test=0.3)
    scene, real = scene_of(data, sources=["?"])
    found = measured(scene, "translation")
    assert found["sacrebleu"].value == pytest.approx(100) and found["chrf"].value == pytest.approx(100)
    assert "tok:13a" in found["sacrebleu"].note
    assert scene.language is not None
    ((name, batches, surprise),) = ways(scene.language, real, 20, 0)
    copied = torch.cat(list(batches))
    assert name == "source copied" and surprise is None and copied.shape == (20, scene.reference.samples.shape[1])
    assert MEASURES["nll"].why_not(scene) and MEASURES["bleu"].why_not(scene)


def test_molecules_and_verse_are_judged_where_train_has_them(tmp_path: Path, corpus: Path) -> None:
    pytest.importorskip("rdkit")
    scene, _ = scene_of(data_of(corpus))
    assert MEASURES["molecules"].why_not(scene) == "the train texts are no molecules"
    assert "no common form" in MEASURES["verse"].why_not(scene)
    chains = [
        f"{'C' * a}{group}{'C' * b}" for a in range(1, 9) for b in range(1, 9) for group in ("O", "N", "C(=O)", "S")
    ]
    (tmp_path / "smiles.txt").write_text("\n".join(chains))
    found = measured(scene_of(data_of(tmp_path / "smiles.txt", tokens="characters"))[0], "molecules")
    assert found["valid"].value == found["valid"].floor == 1
    assert 0 < found["molecules-novel"].value <= 1 and 0 < found["qed"].value < 1
    ends = ["明清情", "山间闲"]
    random = np.random.default_rng(1)
    poems = set[str]()
    while len(poems) < 300:
        rhyme = random.choice(2)
        last = [
            random.choice(list("日月"))[0],
            ends[rhyme][0],
            random.choice(list("云雨"))[0],
            ends[rhyme][1 + random.choice(2)],
        ]
        rows = ["".join(random.choice(list("春风江水花鸟人天"), 4)) + each for each in last]
        poems.add("，".join(rows[:2]) + "。" + "，".join(rows[2:]) + "。")
    (tmp_path / "poems.txt").write_text("\n".join(poems))
    scene, real = scene_of(data_of(tmp_path / "poems.txt", tokens="characters"))
    found = measured(scene, "verse")
    assert found["form"].value == found["form"].floor == 1 and "4 lines of 5 characters" in found["form"].note
    shuffled = replace(real.reference, samples=real.trivial.samples)
    assert measured(replace(scene, generated=shuffled), "verse")["form"].value == 1  # each place keeps its marks


def test_n_grams_write_and_are_less_surprised_than_frequencies(corpus: Path) -> None:
    scene, real = scene_of(data_of(corpus))
    assert scene.language is not None
    ((name, batches, surprise),) = ways(scene.language, real, 300, 0)
    made = torch.cat(list(batches))
    assert name == "5-grams" and made.shape == (300, real.reference.samples.shape[1])
    assert float((made == END).any(1).float().mean()) > 0.5 and torch.equal(made.masked_fill(~content(made), 0), made)
    nll = measured(scene.with_writer(real.reference, surprise), "nll")["nll"]
    assert nll.ceiling is not None and nll.value < nll.ceiling


def test_windows_have_no_end_and_neither_have_those_of_n_grams(corpus: Path) -> None:
    scene, real = scene_of(data_of(corpus, unit="window", length=16, tokens="characters"))
    assert scene.language is not None
    ((_, batches, surprise),) = ways(scene.language, real, 40, 0)
    made = torch.cat(list(batches))
    assert made.shape == (40, 16) and not bool((made == END).any())
    assert surprise is not None and bool((surprise(made, None) > 0).all())
    nll = measured(scene.with_writer(real.reference, surprise), "nll")["nll"]
    frequencies = torch.bincount(real.train.samples.flatten()).double()
    shares = frequencies / frequencies.sum()
    entropy = -shares[real.reference.samples].log().mean()  # of tokens by their frequencies, without any end
    assert nll.ceiling == pytest.approx(float(entropy) + log(17 / 16), rel=0.02)


def test_what_stands_after_the_end_is_not_seen() -> None:
    torch.manual_seed(0)
    network = SentenceNetwork(20).eval()
    tokens = torch.randint(4, 20, (6, 9))
    tokens[torch.arange(6), torch.tensor([1, 3, 4, 6, 7, 8])] = END
    seen = network(tokens)[0]
    junk = torch.where(content(tokens), tokens, torch.randint(4, 20, (6, 9)))
    wider = torch.nn.functional.pad(junk, (0, 5), value=7)
    for each in (junk, wider):
        assert torch.allclose(network(each)[0], seen, atol=1e-6)
    assert torch.allclose(torch.cat([network(each[None])[0] for each in wider]), seen, atol=1e-5)
    assert not torch.allclose(network(tokens.flip(1))[0], seen, atol=1e-2)


def test_the_judge_guesses_hidden_words_and_says_how_well(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST", 10_000)
    monkeypatch.setattr(local, "READ", 60)
    data = data_of(corpus)
    judge = local.local(data)
    assert judge.facts["masked accuracy"] > 0.25  # the likeliest word alone has 0.15
    assert judge.facts["measured on"] == "test" and judge.classes == () and judge.maps(torch.zeros(1, 3)) == ()
    test = data.load("test").take(torch.arange(50)).sample
    assert judge(test).values.shape == (50, judge.dimension) and judge(test.float()).logits is None
    assert local.local(data, "guide").digest != judge.digest


@pytest.mark.slow
def test_shuffled_words_are_farther_than_real_ones(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST", 10_000)
    data = data_of(corpus)
    form = data.load("train").form
    real = look_at_real(data, "test", None, None, open_extractor("local", data, form, silent), silent)
    shuffled = real.floor.samples.clone()
    for row, length in zip(shuffled, lengths(shuffled).tolist(), strict=True):
        row[: length - 1] = row[torch.randperm(length - 1)]
    from cardigan.evaluation.view import look

    eye = open_extractor("local", data, form, silent)

    def distance(view: View) -> float:
        mine, theirs = view.moments, real.reference.moments
        return frechet_distance(mine.mean, mine.covariance, theirs.mean, theirs.covariance)

    floor = distance(real.floor)
    assert distance(look("shuffled", [shuffled], eye)) > 3 * floor
    assert distance(real.trivial) > 3 * floor


def test_a_run_is_judged_from_end_to_end(run: Run, tmp_path: Path) -> None:
    found, written = evaluate(str(run.folder), samples=60, baselines=True)
    scores = {score.protocol.metric: score for score in found.scores}
    assert {"fd", "kd", "bleu-4", "self-bleu-4", "distinct-2", "unique", "novelty-3", "copies", "loops", "nll"} <= set(
        scores
    )
    assert not {"sacrebleu", "recall-1", "form", "valid", "swd"} & set(scores)
    assert scores["fd"].name == "local-FD" and scores["bleu-2"].name == "BLEU-2"
    assert scores["fd"].protocol.sampling == "temperature 1" == found.subject.sampling
    assert scores["bleu-2"].floor is not None and scores["bleu-2"].ceiling is not None
    assert not any("verse" in remark or "translation" in remark for remark in found.remarks)
    text = "\n".join(lines(found, written))
    assert "temperature 1" in text and "5-grams" in text
    ((rival),) = found.rivals
    mine = {score.protocol.metric: score.value for score in rival.scores}
    assert mine["nll"] < scores["nll"].value and mine["bleu-2"] > scores["bleu-2"].value  # it was hardly trained
    titles = {each.title for each in found.exhibits}
    assert titles == {"Samples", "Real samples", "Nearest train sentences", "Best samples", "Worst samples"}
    report = written.read_text()
    samples = next(each for each in found.exhibits if each.title == "Samples")
    assert len(samples.texts) == 20
    assert "<script" not in report and "&lt;script&gt;alert(1)&lt;/script&gt;" in report and "picture" not in report
    saved = json.loads((run.folder / "evaluation.json").read_text())
    assert saved["scores"][0]["protocol"]["sampling"] == "temperature 1"


def test_equal_seeds_give_equal_sentences_and_temperatures_are_told(run: Run, tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    for name, seed, how in zip(names, (0, 0, 1), (None, None, Sampling(0.5, 3, 0.9)), strict=True):
        evaluate(str(run.folder), metrics=["fd", "bleu"], samples=60, seed=seed, sampling=how, out=tmp_path / name)
    read = {name: json.loads((tmp_path / name / "evaluation.json").read_text())["scores"] for name in names}
    assert [each["value"] for each in read["a"]] == [each["value"] for each in read["b"]]
    assert [each["value"] for each in read["a"]] != [each["value"] for each in read["c"]]
    assert read["c"][0]["protocol"]["sampling"].startswith("temperature 0.5, the 3 likeliest tokens")
    ranked, _ = compare([str(tmp_path / "a"), str(tmp_path / "c")], out=tmp_path / "compared")
    assert {table.metric for table in ranked.tables} == {"fd", "bleu-2", "bleu-3", "bleu-4", "bleu-5"}
    assert "temperature 0.5" in (tmp_path / "c" / "report.html").read_text()


def test_a_translator_is_judged_by_the_true_sentences(translator: Run) -> None:
    found, _ = evaluate(str(translator.folder), metrics=["translation", "nll", "loops"], baselines=True)
    assert set(values(found)) == {"sacrebleu", "chrf", "nll", "loops"}
    assert found.subject.sampling == "beam search, 4 candidates"
    (rival,) = found.rivals
    assert rival.name == "source copied" and "nll" not in {each.protocol.metric for each in rival.scores}
    shown = next(each for each in found.exhibits if each.title == "Translated")
    assert shown.columns == ("source", "made", "truth")
    texts = {row["source"]: row["text"] for row in map(json.loads, PARALLEL.read_text().splitlines())}
    assert all(texts[source] == truth for source, _, truth in shown.texts)
    assert "Against the true translations" in " ".join(found.summary)
    greedy, _ = evaluate(str(translator.folder), metrics=["translation"], sampling=Sampling(temperature=0))
    assert greedy.subject.sampling == "temperature 0"


def test_replies_and_sentences_without_words(tmp_path: Path) -> None:
    data: dict[str, object] = {"source": str(PARALLEL), "column": "turns", "vocabulary": None, "length": None}
    replying = trained("dialogue", tmp_path, {**data, "source_length": None, "test": 0.3})
    found, _ = evaluate(str(replying.folder), metrics=["replies", "diversity", "translation"], out=tmp_path / "a")
    assert {"recall-1", "recall-5", "distinct-2"} <= set(values(found)) and "sacrebleu" not in values(found)
    assert any("translation was not measured: sentences are no translations" in each for each in found.remarks)
    assert found.exhibits[0].title == "Replies"
    invented = trained("oracle", tmp_path, {"words": 20, "length": 6, "count": 200})
    assert isinstance(invented.recipe.data, OracleSentences)
    found, _ = evaluate(str(invented.folder), metrics=["oracle", "nll", "copies", "fd"][:2], out=tmp_path / "b")
    score = next(each for each in found.scores if each.protocol.metric == "nll-oracle")
    assert score.floor is not None and score.ceiling is not None and score.floor < score.ceiling
    assert score.floor < score.value


def test_scores_while_training_look_through_the_guide(corpus: Path, tmp_path: Path) -> None:
    data: dict[str, object] = {"source": str(corpus), "column": None, "test": 0.25, "validation": 0.15}
    scored = trained("captions", tmp_path, data, "scoring={interval: 32, samples: 64}")
    assert [row["samples"] for row in scored.scalars() if any(name.startswith("score/") for name in row)]
    assert scored.best() is not None


def test_a_report_shows_sentences_as_text() -> None:
    nasty = '<img src=x onerror="alert(1)">\nsecond & line'
    shown = page(
        Evaluation(
            Subject("x", "run"), (), exhibits=(Exhibit("T", "C", columns=("one", "two"), texts=((nasty, "b"),)),)
        )
    )
    assert "<img" not in shown and "&lt;img" in shown and "second &amp; line" in shown and 'class="texts"' in shown


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["--temperature", "-1"], "--temperature: -1 is out of range"),
        (["--top-p", "0"], "--top-p: 0 is out of range"),
        (["--truncation", "0.5"], "no latents to truncate"),
        (["--direction", "backward"], "cannot write backward"),
        (["--on", "digits"], "--on: only for runs that make pictures"),
        (["--extractor", "inception"], "looks at pictures only"),
        (["--extractor", "minilm"], "all-MiniLM-L6-v2 lacks config.json"),
        (["--metrics", "blue"], "did you mean 'bleu'"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    run: Run, arguments: list[str], needle: str, refusal: Callable[[list[str]], str]
) -> None:
    assert needle in refusal(["evaluate", str(run.folder), *arguments])


def test_an_audit_and_pictures_are_refused(run: Run, refusal: Callable[[list[str]], str], tmp_path: Path) -> None:
    assert "it writes sentences" in refusal(["audit", str(run.folder)])
    pictures = train("digits", ["training.samples=64", "engine.threads=1"], out=tmp_path / "digits")
    assert "only for runs that write sentences" in refusal(["evaluate", str(pictures.folder), "--top-k", "3"])
    with pytest.raises(CardiganError, match="looks at sentences only"):
        evaluate(str(pictures.folder), extractor="minilm")


@pytest.fixture
def refusal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[list[str]], str]:
    """What a command says, in one line, that is refused."""
    monkeypatch.setenv("CARDIGAN_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights" / "all-MiniLM-L6-v2").mkdir(parents=True)  # empty: nothing is looked for on the hub

    def said(arguments: list[str]) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        error = capsys.readouterr().err
        assert stopped.value.code == 2 and error.count("\n") == 1 and "Traceback" not in error, error
        return error

    return said
