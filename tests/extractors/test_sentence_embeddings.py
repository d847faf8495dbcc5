"""MiniLM of random weights, saved as its makers save it and loaded the way users load it."""

from pathlib import Path

import pytest
import torch

from cardigan.data.sentences import Sentences
from cardigan.errors import CardiganError
from cardigan.extractors import open_extractor, weights
from cardigan.extractors.hub import TENSORS
from cardigan.tokens import END

transformers = pytest.importorskip("transformers")


@pytest.fixture
def data(tmp_path: Path) -> Sentences:
    lines = [
        f"{who} {what} {where}" for who in "abc" for what in ("sees", "eats") for where in ("here", "there", "now")
    ]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    return Sentences(source=str(tmp_path / "lines.txt"), tokens="words", test=0.3, validation=0.2)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path / "weights" / "all-MiniLM-L6-v2"
    torch.manual_seed(0)
    settings = {"vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    transformers.BertModel(transformers.BertConfig(**settings, intermediate_size=32)).save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "a", "b", "c", "sees", "eats", "here", "there", "now"]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    monkeypatch.setenv(weights.VARIABLE, str(folder.parent))
    return folder


def test_a_sentence_is_the_mean_of_its_pieces_at_unit_length(data: Sentences, model: Path) -> None:
    train = data.load("train")
    eye = open_extractor("minilm", data, train.form, lambda *_: None)
    samples = train.take(torch.arange(4)).sample
    samples[1, 2] = END
    found = eye(samples).values
    network = transformers.BertModel.from_pretrained(model).eval()
    for sample, values in zip(samples, found, strict=True):
        (text,) = train.codec.decode(sample[None])
        pieces = torch.tensor([eye.tokenizer.encode(text).ids])  # type: ignore[attr-defined]
        with torch.no_grad():
            wanted = network(input_ids=pieces).last_hidden_state[0].mean(0)
        assert torch.allclose(values, wanted / wanted.norm(), atol=1e-5)
    assert found.shape == (4, 16) == (4, eye.dimension) and eye.digest == weights.sha256(model / TENSORS)
    samples[1, 3:] = 7  # behind the end
    assert torch.equal(eye(samples).values, found)


def test_what_is_missing_or_damaged_is_one_line(data: Sentences, model: Path) -> None:
    form = data.load("train").form
    (model / "tokenizer.json").write_text("{}")
    with pytest.raises(CardiganError, match=r"tokenizer\.json is damaged"):
        open_extractor("minilm", data, form, lambda *_: None)
    (model / "tokenizer.json").unlink()
    with pytest.raises(CardiganError, match=r"lacks tokenizer\.json of sentence-transformers"):
        open_extractor("minilm", data, form, lambda *_: None)
