"""What ``drift`` found: tables for people, JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cxrscreen.drift.compare import Comparison, DriftTest, Group, Verdict
from cxrscreen.drift.mixture import MixtureFit
from cxrscreen.drift.recall_watch import RecallWatch
from cxrscreen.drift.reference import Period, Reference
from cxrscreen.errors import printable
from cxrscreen.reports.drift_input import Truth

#: The beginning by which a file is recognised as a drift document.
DOCUMENT_START: Final = '{\n  "document": "cxrscreen drift",'
_STYLE = {
    Verdict.DRIFT: "bold red",
    Verdict.NONE: "green",
    Verdict.TOO_FEW: "dim",
}
_LEAST_P: Final = 0.001
#: From here on a wealth is shown by its power of ten.
_LARGE_WEALTH: Final = 1e6


@dataclass(frozen=True, slots=True)
class DriftFindings:
    """Everything that one run of ``drift`` found.

    Attributes
    ----------
    reference, period
        What was compared.
    comparison
        The tests.
    truth, watch
        What became of the positives, and the bet on their recall; both or none.
    inputs
        Path and SHA-256 of each file that was read.
    seed
        Of shuffles and tables.
    """

    reference: Reference
    period: Period
    comparison: Comparison
    truth: Truth | None
    watch: RecallWatch | None
    inputs: Mapping[str, str]
    seed: int

    @property
    def alarmed(self) -> bool:
        """Whether anything has drifted, or the recall watch has alarmed."""
        fallen = self.watch is not None and self.watch.alarm_after is not None
        return fallen or bool(self.comparison.drifted)


def is_drift_document(path: Path) -> bool:
    """Return whether a file is an earlier result of ``drift``."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(DOCUMENT_START)) == DOCUMENT_START.encode()


def as_json(found: DriftFindings, *, version: str) -> str:
    """Return findings as JSON: inputs, counts, every test, the watch.

    Parameters
    ----------
    found
        The findings.
    version
        Of cxrscreen.
    """
    return json.dumps(_document(found, version), indent=2, ensure_ascii=True) + "\n"


def print_drift(console: Console, found: DriftFindings) -> None:
    """Print the tests, the watch, and what they come to.

    Parameters
    ----------
    console
        Where to print.
    found
        The findings.
    """
    comparison = found.comparison
    console.print(_heading(found), soft_wrap=True)
    console.print(_tests_table(comparison))
    left_out = _not_compared(comparison)
    if left_out:
        console.print(Text(f"Not compared: {left_out}.", style="dim"))
    if comparison.mixture is not None:
        console.print(_prevalence(found, comparison.mixture))
    if found.watch is not None and found.truth is not None:
        console.print(_watch_table(found.watch, found.truth))
        if found.truth.is_lopsided:
            console.print(
                Text(
                    "The truth of flagged images is known far more often than that of the "
                    "others. Then misses stay unseen, and the recall looks better than it is.",
                    style="yellow",
                )
            )
    console.print(_verdict(found))


def _heading(found: DriftFindings) -> Text:
    period = found.period
    patients = (
        "" if period.patients is None else f", one row for each of {period.patients:,} patients"
    )
    noun = "copy" if period.duplicates == 1 else "copies"
    copies = f", {period.duplicates:,} {noun} left out" if period.duplicates else ""
    return Text.assemble(
        ("reference", "bold"),
        f"  {printable(found.reference.name)}\n",
        ("period   ", "bold"),
        f"  {printable(period.name)}: {period.rows:,} rows{copies}{patients}",
    )


def _tests_table(comparison: Comparison) -> Table:
    table = Table(title="Compared with the reference", title_justify="left", title_style="bold")
    table.add_column("what", no_wrap=True)
    table.add_column("reference", overflow="fold")
    table.add_column("period", overflow="fold")
    table.add_column("KS, PSI", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    group: Group | None = None
    for test in comparison.tests:
        if test.verdict is Verdict.NOT_COMPARED:
            continue
        if group is not None and test.group is not group:
            table.add_section()
        group = test.group
        table.add_row(
            _name(test),
            printable(test.reference),
            printable(test.period),
            _size(test),
            "" if test.adjusted_p is None else _p(test.adjusted_p),
            Text(test.verdict.value, style=_STYLE[test.verdict]),
        )
    table.caption = (
        f"p adjusted for the number of tests, {comparison.counted} (Holm). PSI: below 0.1 stable, "
        "to 0.25 look, above moved; it never alarms by itself."
    )
    table.caption_justify = "left"
    return table


def _not_compared(comparison: Comparison) -> str:
    """Return what was not compared, by the reason, in one line."""
    by_reason: dict[str, list[str]] = {}
    for test in comparison.tests:
        if test.verdict is Verdict.NOT_COMPARED:
            by_reason.setdefault(test.note, []).append(_name(test))
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in by_reason.items())


def _name(test: DriftTest) -> str:
    if test.group is Group.HEADERS:
        return test.name.replace("_", " ")
    if test.group is Group.REJECTS:
        return "not screened" if test.name == "overall" else printable(test.name)
    return "score KS" if test.name == "distribution" else "score PSI"


def _size(test: DriftTest) -> str:
    if test.psi is not None:
        return f"{test.psi:.3f} {test.word}"
    return "" if test.statistic is None else f"{test.statistic:.3f}"


def _p(value: float) -> str:
    return f"<{_LEAST_P}" if value < _LEAST_P else f"{value:.3f}"


def _prevalence(found: DriftFindings, mixture: MixtureFit) -> Text:
    said = f"{mixture.prevalence:.1%} ({mixture.low:.1%} to {mixture.high:.1%})"
    if any(test.group is Group.SCORES for test in found.comparison.drifted):
        text = "The scores fit no mixture of the two classes: no prevalence can be told from them."
    else:
        text = f"Prevalence that explains the scores best: {said}, with 95% interval."
    return Text(text)


def _watch_table(watch: RecallWatch, truth: Truth) -> Table:
    title = f"Recall, watched against {watch.floor:g}"
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column("what")
    table.add_column("value", justify="right")
    for name, value in (
        ("positives watched", f"{watch.positives:,}"),
        ("found", f"{watch.found:,}"),
        ("recall so far", f"{watch.recall:.3f}" if watch.positives else "?"),
        ("positives not screened", f"{truth.not_screened:,}"),
        ("further images of a patient", f"{truth.repeated:,}"),
        ("truth known, of flagged", f"{truth.known_flagged:.0%}"),
        ("truth known, of negative", f"{truth.known_unflagged:.0%}"),
        ("highest wealth", _wealth(watch.highest)),
        ("alarm from", f"{1 / watch.alpha:,.0f}"),
        ("alarm", f"after {watch.alarm_after:,} positives" if watch.alarm_after else "none"),
    ):
        style = "bold red" if name == "alarm" and watch.alarm_after else ""
        table.add_row(name, Text(value, style=style))
    return table


def _wealth(value: float) -> str:
    return f"{value:,.2f}" if value < _LARGE_WEALTH else f"{value:.1e}"


def _verdict(found: DriftFindings) -> Text:
    drifted = [_name(test) for test in found.comparison.drifted]
    if found.watch is not None and found.watch.alarm_after is not None:
        drifted.append(f"recall below {found.watch.floor:g}")
    if drifted:
        return Text.assemble(("drift", "bold red"), f": {', '.join(drifted)}")
    if not found.comparison.counted:
        return Text("too few rows to say anything", style="yellow")
    return Text("no drift found", style="green")


def _document(found: DriftFindings, version: str) -> dict[str, Any]:
    comparison, reference, period = found.comparison, found.reference, found.period
    return {
        "document": "cxrscreen drift",
        "schema_version": 1,
        "cxrscreen_version": version,
        "inputs": dict(found.inputs),
        "seed": found.seed,
        "alpha": comparison.alpha,
        "alarm": found.alarmed,
        "reference": {
            "name": reference.name,
            "scores": int(reference.scores.size),
            "positives": None if reference.labels is None else int(reference.labels.sum()),
            "recall_floor": reference.recall_floor,
            "counts": _counts(reference.counts),
            **asdict(reference.identity),
        },
        "period": {
            "name": period.name,
            "rows": period.rows,
            "duplicates": period.duplicates,
            "patients": period.patients,
            "scores": int(period.scores.size),
            "counts": _counts(period.counts),
            **asdict(period.identity),
        },
        "tests_counted": comparison.counted,
        "tests": [_test_document(test) for test in comparison.tests],
        "mixture": None if comparison.mixture is None else asdict(comparison.mixture),
        "recall": _watch_document(found),
    }


def _counts(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {column: dict(sorted(values.items())) for column, values in counts.items()}


def _test_document(test: DriftTest) -> dict[str, Any]:
    return {**asdict(test), "word": test.word or None}


def _watch_document(found: DriftFindings) -> dict[str, Any] | None:
    watch, truth = found.watch, found.truth
    if watch is None or truth is None:
        return None
    return {
        "floor": watch.floor,
        "alpha": watch.alpha,
        "positives": watch.positives,
        "found": watch.found,
        "recall": watch.recall if watch.positives else None,
        "wealth": watch.wealth[-1] if watch.wealth else 1.0,
        "highest_wealth": watch.highest,
        "p": watch.p,
        "alarm_after": watch.alarm_after,
        "truth": {
            "positives": truth.positives,
            "negatives": truth.negatives,
            "not_screened": truth.not_screened,
            "repeated": truth.repeated,
            "known_flagged": truth.known_flagged,
            "known_unflagged": truth.known_unflagged,
        },
    }
