"""What was judged beside simpler ways: a column for each, a row for every score that all of them have."""

from cardigan.evaluation.protocol import Score
from cardigan.evaluation.report.markup import Markup, joined, tag
from cardigan.evaluation.report.numbers import interval_of
from cardigan.evaluation.report.tables import body, row, table
from cardigan.evaluation.result import Evaluation

ABOUT = (
    "Simpler ways to such samples, from the same sources where there are any, judged alike. A network that does not "
    "beat them in what it was trained for is not worth its training."
)


def beside_rivals(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Head and rows as text: a row for each score that all ways have, the subject first; empty without baselines."""
    if not evaluation.rivals:
        return []
    ways = _ways(evaluation)
    rows = [(name, *(f"{each[name].value:.4g}" for each in ways.values())) for name in _shared(evaluation)]
    return [("beside", *ways), *rows]


def rival_table(evaluation: Evaluation) -> Markup:
    """The same for the report, with intervals."""
    if not evaluation.rivals:
        return Markup()
    ways = _ways(evaluation)
    head = ("Score", *ways)
    rows = (row(head, name, *(_cell(each[name]) for each in ways.values())) for name in _shared(evaluation))
    whole = table("Baselines", head, body(*rows))
    return tag("div", whole, class_="scroll", role="region", aria_label="Baselines", tabindex=0)


def _ways(evaluation: Evaluation) -> dict[str, dict[str, Score]]:
    """Way -> its scores by name."""
    sides = [(evaluation.subject.name, evaluation.scores), *((each.name, each.scores) for each in evaluation.rivals)]
    return {name: {score.name: score for score in scores} for name, scores in sides}


def _shared(evaluation: Evaluation) -> list[str]:
    ways = _ways(evaluation).values()
    return [score.name for score in evaluation.scores if all(score.name in each for each in ways)]


def _cell(score: Score) -> Markup:
    """Four digits: where all columns are about the same sources, differences mean more than intervals show."""
    interval = tag("span", f"({interval_of(score)})", class_="aside")
    return joined([tag("span", f"{score.value:.4g}", class_="number"), " ", interval])
