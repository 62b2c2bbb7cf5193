"""What an evaluation and a comparison say, as tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from cxrscreen.evaluation.estimates import Assessment, Estimate
from cxrscreen.evaluation.paired import PairedDifference
from cxrscreen.evaluation.predictions import Predictions
from cxrscreen.evaluation.subgroups import Group
from cxrscreen.reports.evaluation_page import (
    EvaluationPage,
    MetricRow,
    PageFigure,
    Section,
    SubgroupRow,
    SubgroupTable,
)
from cxrscreen.study.measure import Measurement, SideBySide

#: Metrics of a line of a table with many lines.
_SHORT = ("recall", "specificity", "precision", "npv")
_GROUP = ("recall", "specificity", "precision", "roc_auc")
#: Shorter than in the table of one model, where there is room.
_TITLES = {"recall": "Recall", "precision": "PPV"}
_NOT_SCREENED = (
    "Images that were not screened are in no figure. A positive among them was not found: somebody "
    "has to look at it."
)


def evaluation_page(
    measurement: Measurement, figures: tuple[PageFigure, ...], notes: tuple[str, ...] = ()
) -> EvaluationPage:
    """Return everything that an evaluation says."""
    predictions, main = measurement.predictions, measurement.main
    point = predictions.run.points[0]
    sections = [
        Section(
            f"At {measurement.points[0].name}",
            tuple(_row(estimate) for estimate in main.estimates),
            _how_counted(main),
        )
    ]
    tables = []
    if len(measurement.points) > 1:
        tables.append(
            SubgroupTable(
                "Operating points",
                tuple(
                    SubgroupRow(
                        f"{one.name} from {one.assessment.threshold_score:.2f}",
                        "",
                        _short_rows(one.assessment, _SHORT),
                    )
                    for one in measurement.points
                ),
                "Each with the logit from which an image is flagged.",
                heading="operating point",
            )
        )
    tables += [_group_table(groups) for groups in measurement.groups]
    refused = _refused(predictions)
    if refused is not None:
        tables.append(refused)
    return EvaluationPage(
        title=f"{predictions.run.bundle} on {_data_name(predictions)}",
        facts=(*_facts(predictions, main), ("Guaranteed", point.guarantee)),
        sections=tuple(sections),
        subgroups=tuple(tables),
        figures=figures,
        notes=notes,
        level=measurement.design.level,
    )


def comparison_page(
    side_by_side: SideBySide, figures: tuple[PageFigure, ...], notes: tuple[str, ...] = ()
) -> EvaluationPage:
    """Return what a comparison says: the models in one table, and their differences."""
    comparison = side_by_side.comparison
    first = comparison.assessments[0]
    left_out = side_by_side.left_out
    rows = tuple(
        SubgroupRow(
            estimate.title,
            "",
            tuple(
                _row(assessment[estimate.name], title=name)
                for name, assessment in zip(side_by_side.names, comparison.assessments, strict=True)
            ),
        )
        for estimate in first.estimates
    )
    models = SubgroupTable("Side by side", rows, _how_counted(first), heading="metric")
    sections = []
    for versus in comparison.versus:
        errors = versus.errors
        sections.append(
            Section(
                f"{versus.second} less {versus.first}",
                tuple(_difference_row(one) for one in versus.differences),
                f"{versus.first} alone judged {errors.only_first} images right, {versus.second} "
                f"alone {errors.only_second}: McNemar's exact test gives p = "
                f"{_p_value(errors.p_value)} for independent images."
                + (
                    " Images of one patient are not, so the intervals above count."
                    if first.clustered
                    else ""
                ),
            )
        )
    return EvaluationPage(
        title=f"{' and '.join(side_by_side.names)} on {_data_name(side_by_side.predictions[0])}",
        facts=(
            *_facts(side_by_side.predictions[0], first)[1:3],
            *(
                (name, _point_text(one))
                for name, one in zip(side_by_side.names, side_by_side.predictions, strict=True)
            ),
            *((("Left out", f"{left_out} images that a model did not screen"),) * bool(left_out)),
        ),
        sections=tuple(sections),
        leading=(models,),
        figures=figures,
        notes=notes,
        level=first.design.level,
    )


def as_document(measurement: Measurement) -> dict[str, Any]:
    """Return an evaluation as what JSON holds."""
    predictions = measurement.predictions
    return {
        "schema_version": 1,
        "kind": "cxrscreen evaluation",
        "run": predictions.run.model_dump(mode="json"),
        "design": asdict(measurement.design),
        "images": _counts(predictions),
        "points": {one.name: _assessment(one.assessment) for one in measurement.points},
        "groups": {
            groups[0].column: {group.value: _assessment(group.assessment) for group in groups}
            for groups in measurement.groups
        },
    }


def comparison_document(side_by_side: SideBySide) -> dict[str, Any]:
    """Return a comparison as what JSON holds."""
    comparison = side_by_side.comparison
    return {
        "schema_version": 1,
        "kind": "cxrscreen comparison",
        "runs": {
            name: one.run.model_dump(mode="json")
            for name, one in zip(side_by_side.names, side_by_side.predictions, strict=True)
        },
        "design": asdict(comparison.assessments[0].design),
        "left_out": side_by_side.left_out,
        "models": {
            name: _assessment(one)
            for name, one in zip(side_by_side.names, comparison.assessments, strict=True)
        },
        "differences": {
            versus.second: {
                "less": versus.first,
                "only_first_right": versus.errors.only_first,
                "only_second_right": versus.errors.only_second,
                "mcnemar_p": versus.errors.p_value,
                "metrics": {one.metric: _difference(one) for one in versus.differences},
            }
            for versus in comparison.versus
        },
    }


def _facts(predictions: Predictions, assessment: Assessment) -> tuple[tuple[str, str], ...]:
    run = predictions.run
    return (
        ("Model", f"{run.bundle} ({run.bundle_sha256[:12]}), engine {run.engine}"),
        ("Data", f"{_data_name(predictions)}, fingerprint {run.data[:12]}"),
        (
            "Screened",
            (
                f"{assessment.images:,} of {len(predictions.images):,} images, "
                f"{assessment.patients:,} patients; {assessment.positives:,} images with "
                f"pneumonia, {assessment.negatives:,} without"
            ),
        ),
        ("Operating point", _point_text(predictions)),
    )


def _point_text(predictions: Predictions) -> str:
    point = predictions.run.points[0]
    text = f"{point.name}: positive from {point.threshold:.4g} (logit {point.score:.4f})"
    if point.lower_score is None:
        return text
    return f"{text}, indeterminate from logit {point.lower_score:.4f}"


def _data_name(predictions: Predictions) -> str:
    part = predictions.run.part
    return (
        f"the {part} part of its data" if part else f"{len(predictions.images):,} labelled images"
    )


def _row(estimate: Estimate, *, title: str = "", decimals: int = 4) -> MetricRow:
    interval = estimate.interval
    count = "" if estimate.whole is None else f"{estimate.part} of {estimate.whole}"
    return MetricRow(
        title=title or estimate.title,
        value=estimate.value,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        count_text=count,
        method=estimate.method,
        note=estimate.reason,
        decimals=decimals,
    )


def _short_rows(assessment: Assessment, names: tuple[str, ...]) -> tuple[MetricRow, ...]:
    return tuple(_row(assessment[name], title=_TITLES.get(name, ""), decimals=3) for name in names)


def _difference_row(one: PairedDifference) -> MetricRow:
    interval = one.interval
    note = one.reason
    if one.p_value is not None:
        note = f"p = {_p_value(one.p_value)}"
    return MetricRow(
        title=one.title,
        value=one.difference,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        method=one.method,
        note=note,
        decimals=4,
    )


def _p_value(value: float) -> str:
    return "less than 0.0001" if value < 1e-4 else f"{value:.4f}"  # noqa: PLR2004


def _how_counted(assessment: Assessment) -> str:
    if assessment.clustered:
        return (
            f"{assessment.images - assessment.patients:,} images are further ones of a patient: "
            "intervals resample patients."
        )
    return "Each patient has one image: intervals of proportions are exact."


def _group_table(groups: tuple[Group, ...]) -> SubgroupTable:
    return SubgroupTable(
        f"By {groups[0].column}",
        tuple(
            SubgroupRow(
                group.value,
                f"{group.assessment.images:,} ({group.assessment.positives:,})",
                _short_rows(group.assessment, _GROUP),
                "too small" if group.too_small else "",
            )
            for group in groups
        ),
        "In brackets: images with pneumonia. A dash: too few patients to say anything.",
    )


def _refused(predictions: Predictions) -> SubgroupTable | None:
    counts: Counter[tuple[str, int]] = Counter(
        (image.reject_code, image.label) for image in predictions.images if image.reject_code
    )
    if not counts:
        return None
    codes = sorted({code for code, _ in counts})
    rows = tuple(
        SubgroupRow(
            code,
            f"{counts[code, 1]} with pneumonia, {counts[code, 0]} normal",
            (),
        )
        for code in codes
    )
    return SubgroupTable("Not screened", rows, _NOT_SCREENED, heading="reject code")


def _counts(predictions: Predictions) -> dict[str, Any]:
    refused = Counter(image.reject_code for image in predictions.images if image.reject_code)
    return {
        "all": len(predictions.images),
        "screened": len(predictions.judged),
        "not_screened": dict(sorted(refused.items())),
        "positives_not_screened": sum(
            image.label for image in predictions.images if image.reject_code
        ),
    }


def _assessment(assessment: Assessment) -> dict[str, Any]:
    counts = assessment.confusion
    return {
        "threshold_score": assessment.threshold_score,
        "images": assessment.images,
        "patients": assessment.patients,
        "positives": assessment.positives,
        "true_positives": counts.true_positives,
        "false_positives": counts.false_positives,
        "true_negatives": counts.true_negatives,
        "false_negatives": counts.false_negatives,
        "metrics": {one.name: _estimate(one) for one in assessment.estimates},
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    interval = estimate.interval
    return {
        "value": estimate.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "method": estimate.method,
        "reason": estimate.reason,
    }


def _difference(one: PairedDifference) -> dict[str, Any]:
    interval = one.interval
    return {
        "difference": one.difference,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "p_value": one.p_value,
        "method": one.method,
        "reason": one.reason,
    }
