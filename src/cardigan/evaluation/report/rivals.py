"""What was judged beside ways that need no training: a row each, a column for every score that all of them have."""

from cardigan.evaluation.protocol import Score
from cardigan.evaluation.report.markup import Markup, joined, tag
from cardigan.evaluation.report.numbers import interval_of
from cardigan.evaluation.report.tables import body, row, table
from cardigan.evaluation.result import Evaluation

ABOUT = (
    "The same sources, handed to ways that have learnt nothing, and judged alike. A network that does not beat them in "
    "what it was trained for is not worth its training."
)


def beside_rivals(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Head and rows as text: the subject first, then the baselines; empty without any."""
    if not evaluation.rivals:
        return []
    found = {name: {score.name: score for score in scores} for name, scores in _sides(evaluation)}
    columns = [score.name for score in evaluation.scores if all(score.name in each for each in found.values())]
    rows = [(name, *(f"{each[column].value:.4g}" for column in columns)) for name, each in found.items()]
    return [("beside", *columns), *rows]


def rival_table(evaluation: Evaluation) -> Markup:
    """The same for the report, with intervals."""
    rows = beside_rivals(evaluation)
    if not rows:
        return Markup()
    head = ("Way", *rows[0][1:])
    found = {name: {score.name: score for score in scores} for name, scores in _sides(evaluation)}
    cells = ([_cell(each[column]) for column in head[1:]] for each in found.values())
    return table("Baselines", head, body(*(row(head, name, *cell) for name, cell in zip(found, cells, strict=True))))


def _cell(score: Score) -> Markup:
    """Four digits, since all rows are about the same sources: differences mean more than intervals show."""
    interval = tag("span", f"({interval_of(score)})", class_="aside")
    return joined([tag("span", f"{score.value:.4g}", class_="number"), " ", interval])


def _sides(evaluation: Evaluation) -> list[tuple[str, tuple[Score, ...]]]:
    return [(evaluation.subject.name, evaluation.scores), *((each.name, each.scores) for each in evaluation.rivals)]
