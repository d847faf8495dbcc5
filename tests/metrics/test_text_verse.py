"""The form of verse, and rhymes learned from poems."""

import random

import pytest

from cardigan.errors import CardiganError
from cardigan.metrics.text.verse import (
    form_kept,
    lines_of,
    read_classes,
    repeated_characters,
    rhyme_classes,
    rhymes,
    write_classes,
)

QUIET = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"


def test_lines() -> None:
    assert lines_of(QUIET) == ["床前明月光", "疑是地上霜", "举头望明月", "低头思故乡"]
    assert lines_of("一 二，\n三") == ["一二", "三"]
    assert lines_of("") == lines_of("，。") == []


def test_form() -> None:
    assert (
        form_kept(
            [QUIET, f" {QUIET}\n", QUIET[:-1], QUIET[:12], QUIET[1:], QUIET * 2, QUIET.replace("，", "", 1), ""]
        ).tolist()
        == [True, True] + [False] * 6
    )
    assert form_kept(["一二三，四五六。"], lines=2, characters=3).tolist() == [True]


def poems(count: int, seed: int, groups: tuple[str, ...], noise: float = 0.0) -> list[str]:
    """Even lines end in one of the groups' characters."""
    source = random.Random(seed)
    found = []
    for _ in range(count):
        group = source.choice(groups)
        ends = source.sample(group, 2)
        if source.random() < noise:
            ends = [source.choice("".join(groups)) for _ in range(2)]
        found.append(
            f"甲乙丙丁{source.choice('戊己庚')}，甲乙丙丁{ends[0]}。甲乙丙丁{source.choice('戊己庚')}，甲乙丙丁{ends[1]}。"
        )
    return found


GROUPS = ("光霜乡黄床塘", "山间还关颜闲", "风中空同东红宫", "秋流游楼愁头")


def test_classes_are_found_in_spite_of_poems_that_do_not_rhyme() -> None:
    classes = rhyme_classes(poems(800, 0, GROUPS, noise=0.1))
    assert {frozenset(character for character in classes if classes[character] == number) for number in range(4)} == {
        frozenset(group) for group in GROUPS
    }
    found = rhymes(poems(500, 1, GROUPS), classes)
    assert found.share == 1 and found.judged.all()
    assert found.chance == pytest.approx(1 / 4, abs=0.03)
    unrhymed = rhymes(poems(2000, 2, GROUPS, noise=1.0), classes)
    assert unrhymed.share == pytest.approx(1 / 4 - 1 / 25, abs=0.04)  # less those with one character twice


def test_a_table_is_text() -> None:
    classes = rhyme_classes(poems(300, 0, GROUPS))
    text = write_classes(classes)
    assert len(text.splitlines()) == 4
    assert read_classes(text) == classes


def test_groups_of_few_are_no_class() -> None:
    assert set(rhyme_classes(poems(300, 0, (*GROUPS, "甲乙")))) == set("".join(GROUPS))


def test_what_is_judged() -> None:
    classes = read_classes("光霜乡\n风中空")

    def poem(one: str, other: str) -> str:
        return f"甲乙丙丁戊，甲乙丙丁{one}。甲乙丙丁戊，甲乙丙丁{other}。"

    found = rhymes([poem("光", "乡"), poem("光", "风"), poem("光", "光"), poem("光", "奇"), QUIET[:12], ""], classes)
    assert found.rhymed.tolist() == [True, False, False, False, False, False]
    assert found.judged.tolist() == [True, True, True, False, True, True]
    assert found.share == 1 / 5
    assert rhymes([], classes).share == 0
    eight = poem("光", "乡") + poem("霜", "风")
    assert not rhymes([eight], classes).rhymed[0]


def test_repeated_characters() -> None:
    assert repeated_characters([QUIET, "青青，", ""]).tolist() == pytest.approx([3 / 20, 1 / 2, 0])


def test_without_poems_nothing_is_learned() -> None:
    with pytest.raises(CardiganError, match="two even lines"):
        rhyme_classes(["一，二。"])
