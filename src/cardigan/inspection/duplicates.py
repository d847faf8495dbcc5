"""Pictures that stand in a source twice: byte for byte of their pixels, or as good as.

Exact: equal digests, which see through the file format (a PNG and a BMP of the same pixels), not through any change.

Near: the same picture encoded again, resized, a little brighter, or with some per cent cut off. Decided in three steps:

1. Candidates are neighbours by the small descriptor of the survey (`neighbours`), found with a k-d tree.
2. A candidate must be much nearer than the picture's other neighbours (half the distance of the twelfth), or nearly
   identical. In a crowd of alike pictures, such as handwritten ones, what is merely alike does not pass.
3. Both pictures are read again at 32x32 and aligned (`alignment`): what brightness, contrast and a crop of up to 5 %
   do not explain must be small everywhere.

Measured with copies planted among up to 3,000 originals (photographs: Yosemite, BSDS300, Monet; 20 or 10 copies each):

    change of the copy                    photographs   CIFAR-10   emoji
    JPEG of quality 50                       50 / 50     7 / 20    18 / 20
    half the size                            50 / 50     7 / 20    19 / 20
    5 % brighter                             50 / 50    20 / 20    19 / 20
    1 % cut off all around                   50 / 50       -       16 / 20
    2 % cut off one side                     50 / 50    18 / 20    16 / 20
    all but the last at once                 45 / 50     0 / 20    11 / 20

(1 % of a CIFAR-10 picture is less than a pixel.)

False alarms: none among the 70,000 of MNIST and the originals of BSDS300 and Monet. The 124 groups found in CIFAR-10
and the 5 in Yosemite are true ones as far as looked at. Drawings are the hard case: of the 280 groups found in the
8,294 emoji, which do have many equal outlines, about a third differ by a shade of skin or a mouth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.pixels import original
from cardigan.data.sources.source import Encoded, Part, Split
from cardigan.data.storage import FEW
from cardigan.data.workers import usable_cores
from cardigan.inspection.alignment import fit
from cardigan.inspection.groups import Groups, Integers, grouped
from cardigan.inspection.neighbours import REACH, neighbours
from cardigan.inspection.survey import Survey
from cardigan.inspection.thumbs import seen, shrunk
from cardigan.inspection.workers import spread

IDENTICAL = 0.05
"""Distance of descriptors up to which a candidate is taken however crowded its neighbourhood is."""
NEARER = 0.5
"""A candidate's distance, as a share of that of the last neighbour looked at."""
MOST_CHECKED = 100_000
"""Candidates that are read again in one round; the nearest ones."""
_SIDE = 32
_MEAN, _PEAK, _MOVE, _OFFSET, _GAIN = 0.3, 0.4, 0.05, 25.0, 1.3
"""Limits on what `alignment.fit` finds; the first two shrink in a crowd, down to the share below."""
_STRICTEST = 0.2
_PARTNERS = 5
"""Candidates of one picture in one round: a cluster of thousands needs no more to hang together."""
_ROUNDS = 6
_BATCH = 512


@dataclass(frozen=True)
class Duplicates:
    """Groups of rows of a survey.

    Attributes:
        exact: groups of equal pictures, each (2 or more,) rows in order.
        near: groups of pictures that are as good as the same, of different digests; an exact group is represented by
            its first row.
        pairs: (n, 2) the pairs of rows that make the near groups.
        differences: (n,) how much alignment leaves unexplained of each pair, in units of contrast; small is alike.
        unchecked: candidates that were left out because there were too many.
    """

    exact: tuple[Integers, ...]
    near: tuple[Integers, ...]
    pairs: Integers
    differences: NDArray[np.float32]
    unchecked: int = 0


def duplicates(survey: Survey, near: bool = True) -> Duplicates:
    """What stands in `survey` twice, within splits and across them, whatever the classes.

    Args:
        near: look for near duplicates too, which reads their candidates again.
    """
    digests = np.ascontiguousarray(survey.rows["digest"]).view("V16").reshape(-1)
    digests = np.unique(digests, return_inverse=True)[1].reshape(-1)
    exact = grouped(digests)
    first = np.sort(np.unique(digests, return_index=True)[1])
    first = first[~survey.rows["blank"][first]]
    if not near or len(first) < 2:
        return Duplicates(tuple(exact), (), np.empty((0, 2), np.int64), np.empty(0, np.float32))
    pairs, differences, unchecked = _near(survey, first)
    groups = Groups(len(survey.rows))
    for one, other in pairs:
        groups.join(int(one), int(other))
    return Duplicates(tuple(exact), tuple(grouped(groups.roots())), pairs, differences, unchecked)


def _near(survey: Survey, rows: Integers) -> tuple[Integers, NDArray[np.float32], int]:
    """Verified pairs among `rows`.

    A large cluster has more members than a picture has neighbours here, so its pieces are joined in further rounds, in
    which each group takes part with its first member.
    """
    groups, found, differences, unchecked = Groups(len(survey.rows)), list[Integers](), list[NDArray[np.float32]](), 0
    asked = np.arange(len(rows))
    for _ in range(_ROUNDS):
        candidates, spread_out, more = _candidates(survey, rows, asked)
        unchecked += more
        good, difference = _verified(survey, candidates, spread_out)
        if not len(good):
            break
        found.append(good)
        differences.append(difference)
        for one, other in good:
            groups.join(int(one), int(other))
        grown = np.unique([groups.root(int(row)) for row in good[:, 0]])
        rows = np.asarray([row for row in rows if groups.root(int(row)) == row])
        asked = np.searchsorted(rows, grown)
    if not found:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32), unchecked
    return np.concatenate(found), np.concatenate(differences), unchecked


def _candidates(survey: Survey, rows: Integers, asked: Integers) -> tuple[Integers, NDArray[np.float32], int]:
    """Pairs of `rows`, one of them at a position in `asked`, that are worth reading again.

    Returns:
        (n, 2) pairs; (n,) how far the neighbourhood of each reaches, near 0 in a crowd and 1 where it stands alone; and
        how many more there are.
    """
    near = neighbours(survey.rows[rows], asked)
    farthest = near.distances[:, -1]
    limit = np.maximum(IDENTICAL, NEARER * farthest)
    worth = (near.distances <= limit[:, None]) & (near.indices < len(rows))
    asker, place = np.nonzero(worth[:, :_PARTNERS])
    other, distance = near.indices[asker, place], near.distances[asker, place]
    pairs = np.sort(np.stack([asked[asker], other], 1), axis=1)
    pairs, first = np.unique(pairs, axis=0, return_index=True)
    order = np.argsort(distance[first], kind="stable")[:MOST_CHECKED]
    spread_out = farthest[asker[first[order]]] / REACH
    return rows[pairs[order]].reshape(-1, 2), spread_out, len(pairs) - len(order)


def _verified(survey: Survey, pairs: Integers, spread_out: NDArray[np.float32]) -> tuple[Integers, NDArray[np.float32]]:
    """Those of `pairs` that are one picture, and what is left unexplained of each."""
    involved = np.unique(pairs)
    pictures, good, difference = _read(survey, involved), np.zeros(len(pairs), bool), np.empty(len(pairs), np.float32)
    strictness = np.maximum(spread_out**2, _STRICTEST)
    for start in range(0, len(pairs), _BATCH):
        block = slice(start, start + _BATCH)
        one, other = (pictures[np.searchsorted(involved, pairs[block, side])] for side in (0, 1))
        aligned = fit(one.astype(np.float32), other.astype(np.float32))
        good[block] = (aligned.mean < _MEAN * strictness[block]) & (aligned.peak < _PEAK * strictness[block])
        good[block] &= (aligned.move < _MOVE) & (np.abs(aligned.offset) < _OFFSET)
        good[block] &= (aligned.gain < _GAIN) & (aligned.gain > 1 / _GAIN)
        difference[block] = aligned.mean
    return pairs[good], difference[good]


def _read(survey: Survey, rows: Integers) -> NDArray[np.uint8]:
    """(n, 32, 32, 3) of the pictures at `rows`, sorted."""
    chosen = survey.rows[rows]
    splits = [(number, split) for number, split in enumerate(survey.splits) if (chosen["split"] == number).any()]
    parts = {split: survey.source.parts[split]() for _, split in splits}
    indices = {split: chosen["index"][chosen["split"] == number] for number, split in splits}
    jobs = [(split, each[at : at + _BATCH]) for split, each in indices.items() for at in range(0, len(each), _BATCH)]
    encoded = sum(len(each) for split, each in indices.items() if isinstance(parts[split], Encoded))
    blocks = list(spread(_finer, parts, jobs, usable_cores() if encoded >= FEW else 1))
    return np.concatenate(blocks) if blocks else np.empty((0, _SIDE, _SIDE, 3), np.uint8)


def _finer(part: Part, split: Split, indices: Integers) -> NDArray[np.uint8]:
    pictures = [np.rint(shrunk(seen(original(part, int(index))[0]), _SIDE)) for index in indices]
    return np.asarray(pictures, np.uint8)
