"""Write bundles anew with the card that the present version writes.

    python -m tools.refresh_cards BUNDLE [BUNDLE ...] --data FOLDER --cards FOLDER [--force]

Weights, thresholds and every decision stay. The validation part is judged again: its AUC must be
the recorded one, and gets its interval. Sections of other tools are written by those afterwards:
``tools/robustness.py`` and ``tools/known_failures.py``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import torch

from cxrscreen.errors import BundleError
from cxrscreen.evaluation.delong import auc_interval
from cxrscreen.evaluation.metrics import roc_auc
from cxrscreen.model.bundle import ModelBundle, load_bundle
from cxrscreen.model.card import model_card
from cxrscreen.model.document import BundleDocument
from cxrscreen.model.int8_card import with_int8_section
from cxrscreen.output import check_writable, is_bundle
from cxrscreen.study.bundle_part import bundle_part
from cxrscreen.study.release_card import write_with_card
from cxrscreen.training.robustness import Judge, distorted_logits, read_resized
from cxrscreen.vocabulary import DEFAULT_ENGINE, Engine
from tools.running import exit_code

# Training may have computed in another precision.
_SAME_AUC: Final = 1e-3


def refreshed(bundle: ModelBundle, data: Path) -> tuple[BundleDocument, str]:
    """Return document and card of a bundle.

    Raises
    ------
    BundleError
        The validation part does not come to the AUC that was recorded.
    """
    images = bundle_part(bundle, data, "validation")
    resized = read_resized(images, bundle.spec)
    judge = Judge(bundle.network, bundle.spec, torch.device("cpu"), "float32")
    logits = distorted_logits(judge, resized.pixels)
    auc, recorded = roc_auc(resized.labels, logits), bundle.document.metrics.auc
    if abs(auc - recorded) > _SAME_AUC:
        message = f"{bundle.name}: the validation part has an AUC of {auc:.4f}, not {recorded:.4f}"
        raise BundleError(message, hint="Give the data that the bundle was made from.")
    patients = [image.patient_key for image in images]
    interval = auc_interval(resized.labels, logits, clusters=patients)
    metrics = bundle.document.metrics.model_copy(
        update={"auc_interval": (interval.low, interval.high)}
    )
    document = bundle.document.model_copy(update={"metrics": metrics})
    card = model_card(document, bundle.calibrations[DEFAULT_ENGINE])
    if bundle.quantization is not None:
        int8 = bundle.calibrations[Engine.OPENVINO_INT8]
        card = with_int8_section(card, bundle.quantization, int8)
    return document, card


def _main(arguments: argparse.Namespace) -> None:
    for name in arguments.bundles:
        bundle = load_bundle(name)
        out = arguments.cards / bundle.name
        out.parent.mkdir(parents=True, exist_ok=True)
        check_writable(out, force=arguments.force, replaceable=is_bundle)
        document, card = refreshed(bundle, arguments.data)
        write_with_card(bundle, out, card, document, force=arguments.force)
        sys.stdout.write(f"{out}\n")


def main() -> int:
    """Judge and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="packaged name or folder")
    parser.add_argument("--data", type=Path, required=True, help="what they were trained with")
    parser.add_argument(
        "--cards", type=Path, required=True, metavar="FOLDER", help="where to write them"
    )
    parser.add_argument("--force", action="store_true", help="replace bundles in --cards")
    arguments = parser.parse_args()
    return exit_code("refresh_cards", lambda: _main(arguments))


if __name__ == "__main__":
    sys.exit(main())
