"""The hypotheses as a Markdown page: an overview, then each with its verdict, figures, assumptions and tables."""

import re
from collections.abc import Mapping
from pathlib import Path

from maskdet.atomic import atomic_file
from maskdet.reporting.hypothesis_cards import HypothesisCard, hypothesis_card
from maskdet.reporting.number_texts import interval_text, p_cell
from maskdet.reporting.summary_tables import TextTable

_INTRODUCTION = """\
# Hypotheses

<!-- Written by the stage `hypotheses` from hypotheses.json; edit src/maskdet/reporting/hypotheses_text.py. -->

Faces of one image, and look-alike images of one series, are not independent. Each hypothesis is tested as it names \
the test, counting faces (or images) one by one, and again with groups of look-alike images as units. **The verdict \
rests on the second test**, two-sided, at a level of {alpha:g} for each hypothesis by itself; beside it stands the \
p-value after Holm over the {num} hypotheses tested here. Intervals are {confidence:.0%} intervals over groups. \
"Undecided" means that the data do not show a difference, not that there is none."""

_NUMBER = re.compile(r"[\d.,e+−–≤<\s-]*")
"""What a cell of figures consists of."""


def hypotheses_markdown(records: Mapping[str, Mapping]) -> str:
    """Return the page.

    Args:
        records: H1 … H7, as many as were tested → what `Verdict.record` returns; at least one.

    Returns:
        Markdown, ending in a newline.
    """
    alpha = next(iter(records.values()))["alpha"]
    introduction = _INTRODUCTION.format(alpha=alpha, num=len(records), confidence=1 - alpha)
    sections = [_section(hypothesis_card(key, record)) for key, record in records.items()]
    return "\n\n".join([introduction, _overview(records), *sections]) + "\n"


def write_hypotheses(records: Mapping[str, Mapping], path: Path) -> None:
    """Write what `hypotheses_markdown` returns as UTF-8, under a temporary name first."""
    text = hypotheses_markdown(records)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _overview(records: Mapping[str, Mapping]) -> str:
    rows = []
    for key, record in records.items():
        effect, group_aware = record["effect"], record["group_aware"]
        rows.append(
            [
                key,
                record["hypothesis"],
                f"**{record['conclusion']}**",
                f"{effect['name']} {interval_text(*(effect[end] for end in ('value', 'low', 'high')))}",
                p_cell(group_aware["p_value"], group_aware["least_p_value"]),
                p_cell(group_aware["p_value_holm"], group_aware["least_p_value_holm"]),
                p_cell(record["p_value"], record["least_p_value"]),
            ]
        )
    header = ["", "hypothesis", "conclusion", "effect and its interval", "p by groups", "p after Holm", "p as named"]
    return _table(TextTable(header, rows, [""] * len(rows)))


def _section(card: HypothesisCard) -> str:
    facts = "\n".join(f"- {label}: {text}" for label, text in card.facts)
    checks = "\n".join(
        f"- {'holds' if holds else '**fails**'}: {name} ({detail})" for holds, name, detail in card.assumptions
    )
    parts = [
        f"## {card.key}: {card.hypothesis}",
        card.question,
        f"**{card.conclusion.capitalize()}.** {card.sentence}",
        facts,
        f"What the tests assume:\n\n{checks}",
        *card.notes,
        *(f"{title.capitalize()}:\n\n{_table(table)}" for title, table in card.details),
    ]
    return "\n\n".join(parts)


def _table(table: TextTable) -> str:
    """Return a Markdown table, bars in cells escaped, columns of figures to the right."""
    columns = zip(*table.rows, strict=True)
    rules = ["---:" if all(_NUMBER.fullmatch(cell) for cell in column) else "---" for column in columns]
    lines = ([cell.replace("|", r"\|") for cell in row] for row in (table.header, rules, *table.rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
