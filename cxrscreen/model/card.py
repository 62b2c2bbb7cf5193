"""The model card: what a bundle is for, what it was made from, how well it did."""

from __future__ import annotations

from cxrscreen.model.document import BundleDocument, PartDocument, TrainingDocument


def model_card(document: BundleDocument) -> str:
    """Return the card as Markdown; every number in it stands in ``document`` too."""
    training, metrics = document.training, document.metrics
    use, point = document.intended_use, document.operating_points[0]
    youngest, oldest = use.age_range_years
    negative, positive = training.class_weights
    positives = metrics.true_positives + metrics.false_negatives
    negatives = metrics.true_negatives + metrics.false_positives
    parts = "\n".join(
        _part_row(name, part)
        for name, part in (
            ("training", training.training),
            ("validation", training.validation),
            ("calibration", training.calibration),
        )
        if part is not None
    )
    limitations = "".join(f"- {text}\n" for text in use.limitations)
    versions = ", ".join(f"{name} {number}" for name, number in training.versions.items())
    return f"""\
# {document.name}

## Intended use

{use.population} For research and for ordering a worklist under the eyes of a radiologist.
**Not a diagnosis, and not cleared by any regulator.**

Ages outside {youngest} to {oldest} (completed years) and DICOM modalities other than
{" and ".join(use.modalities)} are `NOT_SCREENED`. Where the age is not known, the row carries a
warning.

## Limitations

{limitations}- The figures below come from images of the same source as the training images, and the
  epoch was chosen on them. They are too good for any other hospital.

## Training data

{training.config["data"]["description"] or "Not described."}

| part | images | pneumonia | patients |
| --- | --- | --- | --- |
{parts}

{_start(training)}As far as the data tell patients apart, none is in two parts. Class weights in
the loss: {negative:.2f} for normal, {positive:.2f} for pneumonia. {training.epochs_run} epochs with
seed {training.config["train"]["seed"]}; the weights of epoch {training.best_epoch} were kept for
their validation AUC. The whole configuration and the fingerprints of the parts stand in
`bundle.json`, the course of training in `history.csv` and `training_curves.png`.

## Performance on the validation part

| figure | value |
| --- | --- |
| ROC AUC | {metrics.auc:.4f} |
| recall (sensitivity) at {point.threshold:g} | {metrics.recall:.4f} |
| specificity at {point.threshold:g} | {metrics.specificity:.4f} |

At {point.threshold:g} it misses {metrics.false_negatives} of {positives} images with pneumonia and
flags {metrics.false_positives} of {negatives} without.

## Operating point

`{point.name}`: positive from a probability of {point.threshold:g}. It was set, not calibrated: no
recall is guaranteed.

## Made with

{versions}.
"""


def _start(training: TrainingDocument) -> str:
    """Return where the first weights came from, as a paragraph; empty if from chance."""
    if training.pretrained is None:
        return ""
    start = training.pretrained
    return (
        f"Training began with the weights of `{start.source}` in {', '.join(start.filled)}\n"
        f"(SHA-256 `{start.sha256}`); the other stages began fresh.\n\n"
    )


def _part_row(name: str, part: PartDocument) -> str:
    return f"| {name} | {part.images} | {part.positives} | {part.patients} |"
