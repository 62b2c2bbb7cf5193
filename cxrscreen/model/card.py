"""The model card: what a bundle is for, what it was made from, how well it did."""

from __future__ import annotations

from cxrscreen.model.document import BundleDocument, PartDocument


def model_card(document: BundleDocument) -> str:
    """Return the card as Markdown; every number in it stands in ``document`` too."""
    training, metrics = document.training, document.metrics
    use = document.intended_use
    youngest, oldest = use.age_range_years
    point = document.operating_points[0]
    negative, positive = training.class_weights
    rows = "\n".join(
        _part_row(name, part)
        for name, part in (("training", training.training), ("validation", training.validation))
    )
    versions = ", ".join(f"{name} {number}" for name, number in training.versions.items())
    return f"""\
# {document.name}

## Intended use

{use.population} Ages {youngest} to {oldest} in completed years; DICOM modalities
{", ".join(use.modalities)}. For research and for ordering a worklist under the eyes of a
radiologist. **Not a diagnosis, and not cleared by any regulator.** Outside these ages the
image is `NOT_SCREENED` unless the user asks otherwise; where the age is not known the row
carries a warning.

## Training data

| part | images | pneumonia | patients |
| --- | --- | --- | --- |
{rows}

No patient is in both parts. Class weights in the loss: {negative:.2f} for normal,
{positive:.2f} for pneumonia. {training.epochs_run} epochs; the weights of epoch
{training.best_epoch} were kept for their validation AUC. Seed
{training.config["train"]["seed"]}. The whole configuration and the fingerprints of the parts
stand in `bundle.json`, the course of training in `history.csv` and `training_curves.png`.

## Performance on the validation part

| figure | value |
| --- | --- |
| ROC AUC | {metrics.auc:.4f} |
| recall (sensitivity) at {point.threshold:g} | {metrics.recall:.4f} |
| specificity at {point.threshold:g} | {metrics.specificity:.4f} |
| true positives, false negatives | {metrics.true_positives}, {metrics.false_negatives} |
| true negatives, false positives | {metrics.true_negatives}, {metrics.false_positives} |

The epoch was chosen on these same images, so the figures are somewhat too good, and they say
nothing about another hospital: expect a lower specificity there.

## Operating point

`{point.name}`: positive from a probability of {point.threshold:g}. It was set, not calibrated:
no recall is guaranteed.

## Made with

{versions}.
"""


def _part_row(name: str, part: PartDocument) -> str:
    return f"| {name} | {part.images} | {part.positives} | {part.patients} |"
