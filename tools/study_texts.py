"""What the pages with results say around tables and figures."""

from __future__ import annotations

from typing import Final

DATA: Final = """\
`DATA` is the official train split of "Chest X-Ray Images (Pneumonia)", resized to 224×224: images
of [one hospital](methods.md#the-data-set-of-the-packaged-model), of which
[`data split`](data.md#the-split) makes the three parts."""

WARNING: Final = """\
!!! warning "Figures of one hospital"

    All images are from the hospital of the training images, and shortcuts of this data set are in
    all of its parts. Nothing here says how well a model does elsewhere: read
    [Shortcuts and shift](methods.md#shortcuts-and-shift), then
    [calibrate at your site](calibration.md)."""

RESULTS_INTRO: Final = """\
Every number and figure of this page was written by the command that stands above it.
{data}

[Evaluating and comparing](evaluation.md) says what the tables hold, and
[Metrics and their limits](intervals.md) how the intervals are made."""

VALIDATION: Final = """\
The threshold was fitted to other images than these, so recall and specificity at it are those of
new images of the same source. {chosen} here, which makes the areas under the curves a little too
good."""
#: What was chosen on the validation part: by a bundle that keeps its best epoch, and its last.
CHOSEN_EPOCH: Final = "The epoch of the weights was chosen"
CHOSEN_RECIPE: Final = "How to train was chosen"

CALIBRATION: Final = """\
Neither the weights nor the epoch was chosen on these images, so the areas under the curves are
those of new images of the same source. Probabilities and thresholds were fitted to them, which
makes recall, specificity, Brier score and calibration error a little too good."""

PROGRAMME: Final = """\
The same images fit thresholds again, for other aims, and tell what each comes to among 1,000
images of which 50 show pneumonia: a share as it may be in screening, far below the one in this
data set. [Calibrating at a site](calibration.md) explains the aims and the columns."""

POINTS: Final = """\
Probabilities are those at a prevalence of 0.05; of a point with two thresholds, the one from which
an image is `INDETERMINATE` stands in brackets. Recall, specificity and the share of flagged images
are those of the calibration images, by image; an indeterminate image counts as found and as
flagged, and as no false alarm. A guarantee is for patients to come."""

DRIFT: Final = """\
The validation part is screened as if it were a month of a site, and compared with the calibration
images that the bundle keeps. Both parts were drawn from the same data at random, without a patient
in both, so that nothing should be found but for one time in twenty. `VALIDATION` are the files of
the validation part, as `cxrscreen data split` names them. JPEG files have no header: there is no
view, sex or age to compare. [Watching for drift](drift.md) explains the table."""

COMPARISON_INTRO: Final = """\
The models were trained, validated and calibrated on the same three parts of the same images. Every
number and figure of this page was written by the command that stands above it.
{data}

A difference is the second model's figure less the first one's. The p-values are not corrected for
their number; [Metrics and their limits](intervals.md) says how they are made."""


TRAINED: Final = """\
Each is [trained](training.md) by one command, as its bundle says. Another machine may come to
somewhat other weights:"""
