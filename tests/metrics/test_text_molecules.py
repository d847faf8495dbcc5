"""Molecules are RDKit's, where it is installed; brackets need nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardigan.errors import CardiganError
from cardigan.metrics.text.molecules import balanced, molecules

ASPIRIN, ETHANOL, CAFFEINE = "CC(=O)Oc1ccccc1C(=O)O", "CCO", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"


def test_shares_by_hand() -> None:
    qed = pytest.importorskip("rdkit.Chem.QED", reason="rdkit is not installed")
    from rdkit import Chem

    found = molecules([ETHANOL, "OCC", ASPIRIN, "C(", "C1CC", "", " ", "(C)(C)(C)(C)(C)C"], train=[ASPIRIN, "nonsense"])
    assert found.valid.tolist() == [True, True, True, False, False, False, False, False]
    assert found.validity == 3 / 8
    assert found.canonical[0] == found.canonical[1] == "CCO"
    assert (found.uniqueness, found.novelty) == (2 / 3, 1 / 2)
    expected = [qed.qed(Chem.MolFromSmiles(each)) for each in (ETHANOL, ETHANOL, ASPIRIN)]
    assert found.drug_likeness.tolist() == pytest.approx(expected)
    assert found.qed == pytest.approx(sum(expected) / 3)


def test_nothing_valid_is_0() -> None:
    pytest.importorskip("rdkit", reason="rdkit is not installed")
    found = molecules(["C(", ")", "CCO and more"])
    assert (found.validity, found.uniqueness, found.novelty, found.qed) == (0, 0, 0, 0)


def test_without_rdkit_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rdkit", None)
    with pytest.raises(CardiganError, match=r"cardigan\[molecules\]"):
        molecules(["C"])


@pytest.mark.parametrize("smiles", [ASPIRIN, ETHANOL, CAFFEINE, "[Na+].[Cl-]", "C%12CC%12", "[13CH4]", "C[C@@H](N)O"])
def test_molecules_are_balanced(smiles: str) -> None:
    assert balanced(smiles)


@pytest.mark.parametrize(
    "smiles", ["", "C(", "C)(", "C()", "(C)C", "[C", "C]", "[]", "C[[N]]", "C1CC", "C%12CC", "C%1"]
)
def test_others_are_not(smiles: str) -> None:
    assert not balanced(smiles)


@settings(deadline=None)
@given(st.text("CNO()=12[]#cn%", max_size=10))
def test_what_rdkit_reads_is_balanced(smiles: str) -> None:
    """Except for what RDKit reads beyond the grammar: a space ends its SMILES, and an empty one is a molecule to it."""
    chem = pytest.importorskip("rdkit.Chem", reason="rdkit is not installed")
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        if smiles and chem.MolFromSmiles(smiles) is not None:
            assert balanced(smiles)
