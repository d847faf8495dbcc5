"""The form of Tang verse: lines of five characters, four of them, the even ones rhyming.

What rhymed in the eighth century is not what rhymes today, so rhymes are learned from the train verses: characters are
linked where they end the second and the fourth line of one poem, and the groups that are linked more than chance
would have it are the rhyme classes (modularity, Newman & Girvan 2004, by the method of Blondel et al. 2008, "Fast
unfolding of communities in large networks"). Measured on 16,394 quatrains of the Complete Tang Poems, classes of one
half against the other half: 97% of poems rhyme of the 91% whose characters were seen, 5% after shuffling which ends
belong together, 3% by their odd lines. By modern Mandarin readings (pypinyin) it is 53%, 7% and 9% with equal finals,
and 83%, 12% and 11% with equal finals without their medial: less of the truth and more of the chance.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cardigan.errors import CardiganError

MARKS = "，。！？；、：,.!?;:"
"""What ends a line, beside the end of the string."""
SMALLEST = 5
"""Characters of a rhyme class; smaller groups are poems that do not rhyme."""


@dataclass(frozen=True)
class Rhymes:
    """Which of N poems rhyme.

    Attributes:
        rhymed: (N,) whether all even lines end in one rhyme class, no two of them in the same character.
        judged: (N,) whether that can be said: not where the table lacks a character.
        chance: share that would rhyme if the ends of the judged poems were shuffled among them, 0..1.
    """

    rhymed: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    chance: float

    @property
    def share(self) -> float:
        """Share of the judged poems that rhyme, 0..1; 0 where none is judged."""
        return float(self.rhymed[self.judged].mean()) if self.judged.any() else 0.0


def lines_of(poem: str) -> list[str]:
    """The lines of a poem, without marks and blanks."""
    pieces = re.split(f"[{re.escape(MARKS)}\n]", poem)
    return [line for line in ("".join(piece.split()) for piece in pieces) if line]


def form_kept(poems: Sequence[str], lines: int = 4, characters: int = 5) -> NDArray[np.bool_]:
    """(N,) whether a poem is so many lines of so many characters, each with one mark behind it."""
    mark = f"[{re.escape(MARKS)}]"
    line = f"[^{re.escape(MARKS)}\\s]{{{characters}}}{mark}"
    form = re.compile(f"(?:{line}){{{lines}}}")
    return np.array([form.fullmatch(poem.strip()) is not None for poem in poems], dtype=np.bool_)


def rhyme_classes(poems: Iterable[str]) -> dict[str, int]:
    """The rhyme class of each character that ends even lines of the poems; 0 has the most characters.

    Raises:
        CardiganError: no two even lines in one poem.
    """
    import networkx

    graph = networkx.Graph()
    times: Counter[str] = Counter()
    for poem in poems:
        ends = _ends(poem)
        times.update(ends)
        for one, other in pairwise(ends):
            if one != other:
                seen = graph.get_edge_data(one, other, {"weight": 0})["weight"]
                graph.add_edge(one, other, weight=seen + 1)
    if not graph:
        raise CardiganError("rhymes: no poem with two even lines; allowed: poems of at least four lines")
    groups = networkx.community.louvain_communities(graph, seed=0)
    groups = sorted((sorted(each) for each in groups if len(each) >= SMALLEST), key=lambda each: (-len(each), each))
    return {
        character: number
        for number, group in enumerate(groups)
        for character in sorted(group, key=lambda each: (-times[each], each))
    }


def write_classes(classes: Mapping[str, int]) -> str:
    """A table of rhymes as text: one class a line, its characters without anything between them."""
    groups: dict[int, str] = {}
    for character, number in classes.items():
        groups[number] = groups.get(number, "") + character
    return "".join(f"{groups[number]}\n" for number in sorted(groups))


def read_classes(text: str) -> dict[str, int]:
    """The table that `write_classes` wrote."""
    return {character: number for number, line in enumerate(text.split()) for character in line}


def rhymes(poems: Sequence[str], classes: Mapping[str, int]) -> Rhymes:
    """Which poems rhyme by a table of rhymes.

    A poem of fewer than four lines is judged not to rhyme, so that a broken form does not help. Whether a mark is
    where it should be is `form_kept`'s question.
    """
    ends = [_ends(poem) for poem in poems]
    known = [[classes.get(end, -1) for end in each] for each in ends]
    judged = np.array([len(each) < 2 or min(each) >= 0 for each in known], dtype=np.bool_)
    rhymed = np.array(
        [
            len(each) >= 2 and min(each) >= 0 and len(set(each)) == 1 and len(set(characters)) == len(characters)
            for each, characters in zip(known, ends, strict=True)
        ],
        dtype=np.bool_,
    )
    return Rhymes(rhymed, judged, _chance([each[:2] for each in known if len(each) >= 2 and min(each) >= 0]))


def repeated_characters(poems: Sequence[str]) -> NDArray[np.float64]:
    """(N,) share of a poem's characters that stood in it before, marks left out; 0 where none did."""
    whole = ["".join(lines_of(poem)) for poem in poems]
    return np.array([1 - len(set(each)) / max(len(each), 1) if each else 0.0 for each in whole], dtype=np.float64)


def _ends(poem: str) -> list[str]:
    """The last characters of the even lines."""
    return [line[-1] for line in lines_of(poem)[1::2]]


def _chance(pairs: list[list[int]]) -> float:
    """sum over classes of (share of second lines) x (share of fourth lines)."""
    if not pairs:
        return 0.0
    first, second = np.array(pairs).T
    classes = int(max(first.max(), second.max())) + 1
    shares = [np.bincount(each, minlength=classes) / len(pairs) for each in (first, second)]
    return float(shares[0] @ shares[1])
