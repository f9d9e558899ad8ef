"""The hypotheses as cards: the question, the verdict in a sentence, and the figures that it rests on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from maskdet.evaluation.hypotheses.wording import p_text
from maskdet.reporting.number_texts import UNDEFINED, p_cell
from maskdet.reporting.summary_tables import TextTable


@dataclass(frozen=True)
class HypothesisCard:
    """One hypothesis on the page.

    Attributes:
        key: H1 to H7.
        hypothesis: As it is worded.
        question: What a reader wants to know.
        conclusion: `supported`, `refuted` or `undecided`.
        sentence: The verdict in words.
        facts: (label, text) of the tests and the effect.
        assumptions: (holds, name, figures behind it).
        notes: What else a reader must know.
        details: (title, rows) of figures behind the verdict.
    """

    key: str
    hypothesis: str
    question: str
    conclusion: str
    sentence: str
    facts: list[tuple[str, str]]
    assumptions: list[tuple[bool, str, str]]
    notes: list[str]
    details: list[tuple[str, TextTable]]


def hypothesis_card(key: str, record: Mapping) -> HypothesisCard:
    """Return the card of one record of `hypotheses.json`.

    Args:
        key: H1 to H7.
        record: What `Verdict.record` returns.
    """
    group_aware, confidence = record["group_aware"], 1 - record["alpha"]
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in record["counts"].items())
    facts = [
        ("Effect", f"{record['effect']['name']}: {_effect(record['effect'])}, {confidence:.0%} interval over groups"),
        ("Test by groups", f"{group_aware['test']}: {_evidence(group_aware)}"),
        (
            "Corrected",
            f"{_p(group_aware['p_value_holm'], group_aware['least_p_value_holm'])} after Holm over all hypotheses",
        ),
        ("Test as named", f"{record['test']}: {_evidence(record)}"),
        (
            "Design effect",
            f"{_figure(group_aware['design_effect'])}: so much the likeness within groups multiplies the variance",
        ),
        ("Null", record["null"]),
        ("Counted", counts),
    ]
    undefined = {"Corrected": group_aware["p_value_holm"], "Design effect": group_aware["design_effect"]}
    return HypothesisCard(
        key=key,
        hypothesis=record["hypothesis"],
        question=record["question"],
        conclusion=record["conclusion"],
        sentence=record["verdict"],
        facts=[(label, text) for label, text in facts if undefined.get(label, 0) is not None],
        assumptions=[(each["holds"], each["name"], each["detail"]) for each in record["assumptions"]],
        notes=list(record["notes"]),
        details=_details(record["details"]),
    )


def overview_table(records: Mapping[str, Mapping]) -> TextTable:
    """Return a row a hypothesis: conclusion, effect with its interval, p-value by groups and as corrected.

    Args:
        records: Key → record of `hypotheses.json`.
    """
    rows = [
        [
            f"{key}: {record['hypothesis']}",
            record["conclusion"],
            _effect(record["effect"], "{}\n{} to {}"),
            p_cell(record["group_aware"]["p_value"], record["group_aware"]["least_p_value"]),
            p_cell(record["group_aware"]["p_value_holm"], record["group_aware"]["least_p_value_holm"]),
        ]
        for key, record in records.items()
    ]
    notes = [record["effect"]["name"] for record in records.values()]
    return TextTable(["hypothesis", "conclusion", "effect", "p by groups", "p, Holm"], rows, notes)


def _details(tables: Mapping[str, Sequence[Mapping]]) -> list[tuple[str, TextTable]]:
    """Return title and rows of every table that has any; names that occur in cells keep their spelling in headings."""
    names = {cell for rows in tables.values() for row in rows for cell in row.values() if isinstance(cell, str)}
    return [(title.replace("_", " "), details_table(rows, names)) for title, rows in tables.items() if rows]


def details_table(rows: Sequence[Mapping], names: Collection[str] = ()) -> TextTable:
    """Return rows of figures as text; the first column names the row.

    Args:
        rows: Column → value; a row may lack some. `least_p_value_<name>` is no column of its own: it says which of
            `p_value_<name>` are bounds.
        names: Of models and the like, which keep their underscores where they stand in a column's name.

    >>> table = details_table([{"size": "all", "only_mtcnn_v2": 0.5, "p_value": 1e-5, "faces": 1200}], ["mtcnn_v2"])
    >>> table.header, table.rows
    (['size', 'only mtcnn_v2', 'p', 'faces'], [['all', '0.500', '1e-05', '1,200']])
    >>> details_table([{"p_value_holm": 0.0006, "least_p_value_holm": 0.0006}]).rows
    [['≤ 0.0006']]
    """
    header = list(dict.fromkeys(key for row in rows for key in row if not key.startswith("least_p_value")))
    cells = [[_cell(key, row.get(key), row.get(f"least_{key}")) for key in header] for row in rows]
    return TextTable([_heading(key, names) for key in header], cells, [""] * len(cells))


def _heading(key: str, names: Collection[str]) -> str:
    name = max((name for name in names if name in key), key=len, default="")
    words = [part.replace("_", " ") for part in (key.split(name) if name else [key])]
    return name.join(words).replace("p value", "p")


def _cell(key: str, value: object, least: float | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, str):
        return UNDEFINED if value is None else value
    if key.startswith("p_value"):
        return p_cell(value, least)
    return f"{value:,}" if isinstance(value, int) else _decimal(value)


def _evidence(record: Mapping) -> str:
    """Return statistic, degrees of freedom and p-value."""
    df = record["df"]
    freedom = (
        "" if df is None else f" (df {', '.join(_figure(each) for each in (df if isinstance(df, list) else [df]))})"
    )
    p_value = _p(record["p_value"], record["least_p_value"])
    return f"statistic {_figure(record['statistic'])}{freedom}, {p_value}"


def _effect(effect: Mapping, form: str = "{} [{}, {}]") -> str:
    """Return an effect with its interval in this form; without the interval where it is undefined."""
    value, low, high = (_decimal(effect[end]) for end in ("value", "low", "high"))
    return value if UNDEFINED in (low, high) else form.format(value, low, high)


def _p(p_value: float | None, least: float | None = None) -> str:
    return UNDEFINED if p_value is None else p_text(p_value, least or 0.0)


def _figure(value: float | None) -> str:
    """Return a statistic or a count: a whole number without decimals.

    >>> _figure(2.0), _figure(-3488.0), _figure(898.12)
    ('2', '−3,488', '898.1')
    """
    is_whole = value is not None and float(value).is_integer()
    return f"{value:,.0f}".replace("-", "−") if is_whole else _decimal(value)


def _decimal(value: float | None) -> str:
    """Return a number as it is read: three decimals below ten, none above a thousand.

    >>> _decimal(0.12345), _decimal(1.0), _decimal(-12.345), _decimal(4321.9), _decimal(None)
    ('0.123', '1.000', '−12.3', '4,322', '–')
    """
    if value is None:
        return UNDEFINED
    decimals = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0
    return f"{value:,.{decimals}f}".replace("-", "−")
