"""What the model card says of an int8 model."""

from __future__ import annotations

from typing import Final

from cxrscreen.calibration.calibration import Calibration
from cxrscreen.model.card import points_table
from cxrscreen.model.card_section import with_section
from cxrscreen.model.quantised import QuantizationDocument

_HEADING: Final = "## The int8 model"


def with_int8_section(
    card: str, quantization: QuantizationDocument, calibration: Calibration
) -> str:
    """Return a model card with the section of its int8 model, in place of an earlier one.

    Parameters
    ----------
    card
        Markdown.
    quantization, calibration
        Of the int8 model.
    """
    check = quantization.check
    difference, low, high = check.auc_difference
    versions = ", ".join(
        f"{name} {number}" for name, number in sorted(quantization.versions.items())
    )
    section = f"""\
{_HEADING}

`--engine openvino-int8` runs an int8 form of the network on OpenVINO. It is another model: it has
thresholds and probabilities of its own, fitted to its own scores on the calibration part. Made by
{quantization.method}, from the ranges of {quantization.ranges.images} training images ({versions}).

Beside the float32 model, on the {check.images} screened images of the calibration part
({check.patients} patients):

| figure | value |
| --- | --- |
| ROC AUC, float32 | {check.auc_float32:.4f} |
| ROC AUC, int8 | {check.auc_int8:.4f} |
| difference | {difference:+.4f} ({check.level:.0%} interval {low:+.4f} to {high:+.4f}) |
| largest change of a probability | {check.largest_probability_change:.3f} |
| mean change of a probability | {check.mean_probability_change:.4f} |
| decided otherwise at the float32 model's `{check.point}` | {check.decisions_changed} |

{points_table(calibration)}
"""
    return with_section(card, section)
