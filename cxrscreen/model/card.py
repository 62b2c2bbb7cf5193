"""The model card: what a bundle is for, what it was made from, how well it did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.calibration.document import PointDocument
from cxrscreen.evaluation.exact import clopper_pearson
from cxrscreen.model.document import (
    BundleDocument,
    MetricsDocument,
    PartDocument,
    TrainingDocument,
)

#: Where first weights come from, by the hash of their file.
_PUBLISHED: Final = {
    "d538a79209c75170255abb16ba1f66fedff9c5d2cca8b63c6f0d9af5b093ee5a": (
        "a ResNet50 trained on ImageNet-1k, the weights that Keras ships under the MIT licence"
    ),
    "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a": (
        "torchvision's ResNet50 IMAGENET1K_V1, trained on ImageNet-1k, BSD 3-Clause licence"
    ),
    "db184f38c338f1a4b5a5b6a38a7332225af8961e06ec2ab89a576ba18520c3c6": (
        "the first release of resnet50-pediatric, trained on the same training part with grey\n"
        "levels as they are; it began with the stem and layers 1 to 3 of a ResNet50 trained on\n"
        "ImageNet-1k, the weights that Keras ships under the MIT licence"
    ),
}


def model_card(document: BundleDocument, calibration: Calibration) -> str:
    """Return the card as Markdown; every number in it stands in one of the two as well."""
    training, metrics = document.training, document.metrics
    use = document.intended_use
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
    start = _start(training, document.network.stages)
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

{limitations}{_of_the_figures(training)}

## Training data

{training.config["data"]["description"] or "Not described."}

| part | images | pneumonia | patients |
| --- | --- | --- | --- |
{parts}

{start}As far as the data tell patients apart, none is in two parts. Class weights in
the loss: {negative:.2f} for normal, {positive:.2f} for pneumonia. {training.epochs_run} epochs with
seed {training.config["train"]["seed"]}; {_kept(training)}. The whole
configuration and the fingerprints of the parts stand in `bundle.json`, the course of training in
`history.csv` and `training_curves.png`.

## Performance on the validation part

| figure | value | 95% interval |
| --- | --- | --- |
| ROC AUC | {metrics.auc:.4f} | {_area_interval(metrics)} |
| recall (sensitivity) at 0.5 | {metrics.recall:.4f} | {_exact(metrics.true_positives, positives)} |
| specificity at 0.5 | {metrics.specificity:.4f} | {_exact(metrics.true_negatives, negatives)} |

The interval of the AUC is by patient, the others are exact, image by image. A model made anew by
the same configuration is as good where its AUC lies in that interval.

Where the logistic of the logit reaches 0.5, it flags an image: it misses
{metrics.false_negatives} of {positives} images with pneumonia and flags
{metrics.false_positives} of {negatives} without.

{_calibration(calibration)}
## At another site

Thresholds move where images differ. Take at least some hundred labelled images of the site, with
the patient of each, and fit probabilities and thresholds to them; the network stays as it is. The
command says what the images are too few to guarantee:

```bash
cxrscreen calibrate --bundle {document.name} --data site.csv --out site.json
cxrscreen screen ./export --out report.csv --bundle {document.name} --calibration site.json
```

## Made with

{versions}.
"""


def _start(training: TrainingDocument, stages: Sequence[str]) -> str:
    """Return where the first weights came from, as a paragraph; empty if from chance."""
    if training.pretrained is None:
        return ""
    start = training.pretrained
    known = _PUBLISHED.get(start.sha256)
    whole = set(start.filled) == set(stages)
    return (
        f"Training began with the weights of `{start.source}` in "
        f"{'every stage' if whole else ', '.join(start.filled)}\n"
        f"(SHA-256 `{start.sha256}`{f':{chr(10)}{known}' if known else ''})"
        f"{'' if whole else '; the other stages began fresh'}.\n\n"
    )


def _area_interval(metrics: MetricsDocument) -> str:
    if metrics.auc_interval is None:
        return ""
    low, high = metrics.auc_interval
    return f"{low:.4f} to {high:.4f}"


def _exact(part: int, whole: int) -> str:
    if not whole:
        return ""
    interval = clopper_pearson(part, whole)
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _calibration(calibration: Calibration) -> str:
    """Return how logits become probabilities and decisions."""
    data = calibration.document.data
    if data is None:
        point = calibration.default_point
        return (
            f"## Operating point\n\n`{point.name}`: positive from a probability of "
            f"{point.threshold:g}. It was set, not calibrated: no\nrecall is guaranteed, and the "
            "probability is the plain logistic of the logit.\n"
        )
    screened = data.images - data.not_screened
    return f"""\
## Operating points

The first is the default. They were fitted on the {screened} images of the calibration part that
were screened ({data.patients} patients; {data.not_screened} images were refused), which neither
training nor the choice of the epoch saw. Probabilities: {calibration.calibrator.method.value}.

{points_table(calibration)}

Recall and specificity are those of the calibration part, image by image, with 95% intervals.

What is guaranteed holds for images like those of the calibration part, from the same source, and
for no other hospital: calibrate there, as below.
"""


def points_table(calibration: Calibration) -> str:
    """Return the operating points of a calibration as a table of Markdown."""
    rows = "\n".join(
        f"| `{point.name}` | {point.threshold:.4f} | {point.score:.4f} | {_figures(held)} | "
        f"{point.guarantee()} |"
        for point, held in zip(
            calibration.points, calibration.document.operating_points, strict=True
        )
    )
    return f"""\
| name | positive from | logit | recall | specificity | guaranteed |
| --- | --- | --- | --- | --- | --- |
{rows}"""


def _figures(point: PointDocument) -> str:
    """Return recall and specificity as two cells."""
    if point.figures is None:
        return " | "
    return " | ".join(
        f"{share:.3f} ({low:.3f} to {high:.3f})"
        for share, low, high in (point.figures.recall, point.figures.specificity)
    )


def _of_the_figures(training: TrainingDocument) -> str:
    if training.keeps_the_last:
        return """\
- The figures below come from images of the same source as the training images. They are too good
  for any other hospital."""
    return """\
- The figures below come from images of the same source as the training images, and the
  epoch was chosen on them. They are too good for any other hospital."""


def _kept(training: TrainingDocument) -> str:
    averaged = training.config["train"].get("averaged_phases")
    if averaged:
        ends = [f"the end of phase {number}" if number else "the start" for number in averaged]
        return f"the mean of the weights at {', '.join(ends[:-1])}\nand {ends[-1]} was kept"
    if training.keeps_the_last:
        return "the weights of the last were kept"
    return f"the weights of epoch {training.best_epoch} were kept for\ntheir validation AUC"


def _part_row(name: str, part: PartDocument) -> str:
    return f"| {name} | {part.images} | {part.positives} | {part.patients} |"
