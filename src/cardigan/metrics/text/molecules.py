"""Molecules written as SMILES: whether they are any, how many differ, are new, and look like drugs.

Polykovskiy et al. 2020, "Molecular sets (MOSES)". RDKit, which reads them, comes with the extra `molecules`; what can
be told of the brackets alone needs nothing.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.errors import CardiganError
from cardigan.metrics.text.grams import some

_RING = re.compile(r"%\d\d|%\(\d+\)|\d")


@dataclass(frozen=True)
class Molecules:
    """What N strings are as molecules.

    Attributes:
        canonical: the canonical SMILES of each; None where it is no molecule.
        drug_likeness: (V,) QED of the valid ones, 0..1 (Bickerton et al. 2012, "Quantifying the chemical beauty of
            drugs").
        uniqueness: share of different molecules among the valid ones, 0..1.
        novelty: share of the different ones that are not in train, 0..1.
    """

    canonical: tuple[str | None, ...]
    drug_likeness: NDArray[np.float64]
    uniqueness: float
    novelty: float

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(N,) whether each is a molecule."""
        return np.array([each is not None for each in self.canonical], dtype=np.bool_)

    @property
    def validity(self) -> float:
        """Share of molecules among the strings, 0..1."""
        return len(self.drug_likeness) / len(self.canonical)

    @property
    def qed(self) -> float:
        """Mean QED of the valid ones; 0 where none is."""
        return float(self.drug_likeness.mean()) if len(self.drug_likeness) else 0.0


def molecules(samples: Sequence[str], train: Iterable[str] = ()) -> Molecules:
    """Read SMILES; what is not valid is neither unique nor new, and shares of nothing are 0.

    Raises:
        CardiganError: no samples, or RDKit is not installed.
    """
    some(samples, "molecules: samples")
    try:
        from rdkit import Chem
        from rdkit.Chem.QED import qed
        from rdkit.rdBase import BlockLogs
    except ImportError:
        raise CardiganError(
            "molecules need RDKit, which is not installed; mend: pip install 'cardigan[molecules]'"
        ) from None
    with BlockLogs():
        # of several words RDKit would read the first, and take the others for a name
        read = [Chem.MolFromSmiles(each) if len(each.split()) == 1 else None for each in samples]
        canonical = tuple(None if each is None else Chem.MolToSmiles(each) for each in read)
        drug_likeness = np.array([qed(each) for each in read if each is not None], dtype=np.float64)
        seen = {Chem.MolToSmiles(each) for each in (Chem.MolFromSmiles(one) for one in train) if each is not None}
    different = {each for each in canonical if each is not None}
    return Molecules(
        canonical,
        drug_likeness,
        len(different) / max(len(drug_likeness), 1),
        len(different - seen) / max(len(different), 1),
    )


def balanced(smiles: str) -> bool:
    """Whether brackets close, branches have something in them, and rings that open close: necessary, not sufficient."""
    if not smiles or smiles.count("[") != smiles.count("]"):
        return False
    bare = re.sub(r"\[[^\[\]]+\]", "*", smiles)
    if "[" in bare or "]" in bare or "()" in bare or bare.startswith("("):
        return False
    depth = 0
    for character in bare:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    open_rings: set[int] = set()
    for ring in _RING.findall(bare):
        open_rings ^= {int(ring.strip("%()"))}
    return depth == 0 and not open_rings
