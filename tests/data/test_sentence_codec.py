"""Tokens to text and back, and as files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cardigan import CardiganError
from cardigan.data.codec import load_codec, save_codec
from cardigan.data.sentence_codec import SentenceCodec
from cardigan.data.text.tokenizer import Tokenizer
from cardigan.sample import Form
from cardigan.tokens import BEGIN, END, PAD, UNKNOWN

TEXT = ["the cat sat on the mat", "a dog  ran away \n and the cat too", "Übung — 山 is a mountain"]
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def codec(kind: Any = "characters", texts: list[str] = TEXT, **fields: Any) -> SentenceCodec:
    return SentenceCodec(tokens=kind, **fields).using(Tokenizer.train(kind, texts, 300 if kind == "bpe" else None))


BPE = codec("bpe")


@settings(deadline=None)
@given(st.lists(ANY, min_size=1, max_size=5))
def test_byte_pairs_give_any_text_back(texts: list[str]) -> None:
    assert BPE.decode(BPE.encode(texts)) == texts and BPE.unknown(texts) == ()


@settings(deadline=None, max_examples=50)
@given(st.lists(ANY, min_size=1, max_size=5))
def test_characters_give_back_what_they_know(texts: list[str]) -> None:
    known = codec("characters", texts)
    assert known.decode(known.encode(texts)) == texts and known.unknown(texts) == ()


@settings(deadline=None, max_examples=50)
@given(st.lists(ANY, min_size=1, max_size=5))
def test_words_are_joined_by_single_spaces(texts: list[str]) -> None:
    special = {"<pad>", "<begin>", "<end>", "<unknown>"}
    known = codec("words", texts)
    expected = ["\n".join(" ".join(line.split()) for line in text.split("\n")) for text in texts]
    if not special & set(" ".join(texts).split()):
        assert known.decode(known.encode(texts)) == expected == list(map(known.tokenizer.normal, texts))
        assert known.unknown(texts) == ()


@pytest.mark.parametrize("kind", ["characters", "words", "bpe"])
def test_lies_in_the_run_folder_as_plain_files(kind: str, tmp_path: Path) -> None:
    made = codec(kind, context=2, paired=True)
    save_codec(made, Form((9,), source=(7,), vocabulary=made.tokenizer.size), tmp_path / "codec")
    assert sorted(path.name for path in (tmp_path / "codec").iterdir()) == [
        "codec.json",
        "tokenizer.json",
        "vocabulary.txt",
    ]
    opened, form = load_codec(tmp_path / "codec")
    assert isinstance(opened, SentenceCodec) and opened == made and form.vocabulary == made.tokenizer.size
    assert torch.equal(opened.encode(TEXT), made.encode(TEXT)) and opened.vocabulary == made.vocabulary
    listed = (tmp_path / "codec" / "vocabulary.txt").read_text("utf-8").split("\n")
    assert len(listed) == made.tokenizer.size + 1 and listed[:4] == ["<pad>", "<begin>", "<end>", "<unknown>"]


def test_a_damaged_tokenizer_is_one_line(tmp_path: Path) -> None:
    made = codec("words")
    save_codec(made, Form((9,), vocabulary=made.tokenizer.size), tmp_path)
    path = tmp_path / "tokenizer.json"
    whole = path.read_text("utf-8")
    other = json.loads(whole)
    other["added_tokens"], other["model"]["vocab"] = [], {"a": 0, "<unknown>": 1}
    for content in (whole[:100], "", "[]", "\0", json.dumps(other)):
        path.write_text(content)
        with pytest.raises(CardiganError, match=r"tokenizer\.json is damaged"):
            load_codec(tmp_path)
    path.unlink()
    with pytest.raises(CardiganError, match=r"tokenizer\.json is missing"):
        load_codec(tmp_path)


def test_encoding_pads_cuts_and_names_what_is_unknown() -> None:
    made = codec("words", lowercase=True)
    assert made.encode(["the cat"], 5).tolist() == [[*made.encode(["the cat"]).tolist()[0], PAD, PAD]]
    assert made.encode(["The CAT", "the"]).tolist()[1][1:] == [END, PAD]
    cut = made.encode(["the cat sat on"], 3)
    assert END not in cut.tolist()[0] and made.decode(cut) == ["the cat sat"]
    assert made.encode(["the zebra"]).tolist()[0][1] == UNKNOWN
    assert made.unknown(["the zebra saw the okapi", "zebra <end>"]) == ("zebra", "saw", "okapi", "<end>")
    assert codec("characters").unknown(["cat!", "dog?!"]) == ("!", "?")
    assert made.lengths(["the cat", "a"]) == [3, 2] and made.encode([""]).tolist() == [[END]]


def test_decoding_ends_at_the_first_end_and_leaves_special_tokens_out() -> None:
    made = codec("words")
    cat = made.encode(["cat"]).tolist()[0][0]
    rows = torch.tensor([[BEGIN, cat, PAD, cat, END, cat], [END] + [cat] * 5, [cat, UNKNOWN] * 3])
    assert (
        made.decode(rows) == made.decode(rows.float()) == ["cat cat", "", "cat <unknown> cat <unknown> cat <unknown>"]
    )
    assert made.rounded(rows)[0].tolist() == [BEGIN, cat, PAD, cat, END, PAD]
    letter = codec("characters")
    assert letter.decode(torch.tensor([[UNKNOWN, *letter.encode(["a"]).tolist()[0]]])) == ["\ufffda"]
    assert isinstance(BPE.decode(torch.randint(0, 300, (50, 9)))[0], str)  # bytes that are no text do no harm


def test_files(tmp_path: Path) -> None:
    made = codec("bpe")
    path = tmp_path / f"out{made.extension}"
    made.write(made.encode(["山 one"])[0], path)
    assert path.read_text("utf-8") == "山 one\n"
    made.render(made.encode(["one", "two"]), path)
    assert path.read_text("utf-8") == "one\ntwo\n"
    made.render(made.encode(["one\nmore", "two"]), path)
    assert path.read_text("utf-8") == "one\nmore\n\ntwo\n"
    panels = {"source": made.encode(["eins", "zwei\ndrei"]), "made": made.encode(["one", "two"])}
    made.exhibit(panels, path)
    assert path.read_text("utf-8") == "source  eins\nmade    one\n\nsource  zwei\n        drei\nmade    two\n"
    made.exhibit({"made": panels["made"]}, path)
    assert path.read_text("utf-8") == "one\ntwo\n"


def test_usage_and_turns() -> None:
    assert "generate RUN -n 20" in codec().usage("RUN")
    assert 'translate RUN --text "..."' in codec(paired=True).usage("RUN")
    assert "chat RUN" in codec(paired=True, context=2).usage("RUN")
    assert codec(context=2).joined(["a", "b\n c", " d "]) == "b c\nd"
