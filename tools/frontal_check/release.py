"""From a fitted network to the packaged files: operating point, distance, document."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import numpy as np
import safetensors.torch
import torch

from cxrscreen.admission.frontal import DOCUMENT, NETWORK_KINDS, WEIGHTS, Kind
from cxrscreen.admission.frontal_network import (
    ARCHITECTURE,
    FrontalNetwork,
    standardise,
    thumbnail,
)
from cxrscreen.intake import open_image
from cxrscreen.records import Source
from tools.frontal_check.augment import regraded, sampled, whole_window
from tools.frontal_check.sources import real_images

if TYPE_CHECKING:
    from pathlib import Path

    from tools.frontal_check.sources import Bank

#: Share of the calibration chests that may be refused: below the 0.5% of the requirement.
_REFUSED_SHARE: Final = 0.0035
#: The least likely of the others decides, with a margin for the chests of other hospitals.
_PROBABILITY_MARGIN: Final = 0.5
_DISTANCE_MARGIN: Final = 1.25
# The covariance is shrunk towards its diagonal: some features are nearly constant.
_RIDGE: Final = 0.05
_BATCH: Final = 64
_ADULT_VIEWS: Final = 40


def release(
    network: FrontalNetwork, bank: Bank, data: Path, out: Path, facts: dict[str, str | int | float]
) -> None:
    """Fit the operating point on calibration patients, and write the packaged files.

    Parameters
    ----------
    facts
        What training was done with, for the document.
    """
    network.eval()
    # The operating point belongs to the weights as they are stored.
    halves = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in halves.items()})
    centre, whitening = one_class(network, bank, int(facts["seed"]))
    small = torch.stack(
        [
            thumbnail(open_image(Source(image.path)).read_pixels().pixels)
            for image in real_images(data, int(facts["fold"]))
            if image.source == "pediatric" and image.part == "calibration"
        ]
    )
    probabilities, features = answers(network, small)
    distances = ((features - centre) @ whitening).norm(dim=1)
    frontal = probabilities[:, NETWORK_KINDS.index(Kind.FRONTAL)]
    refused = int(_REFUSED_SHARE * len(small))
    threshold = _PROBABILITY_MARGIN * float(frontal.sort().values[refused])
    limit = _DISTANCE_MARGIN * float(distances.sort(descending=True).values[refused])
    one = {"one_class.centre": centre.contiguous(), "one_class.whitening": whitening.contiguous()}
    stored = {**halves, **one}
    content = safetensors.torch.save(stored)
    document = {
        "schema_version": 1,
        "architecture": ARCHITECTURE,
        "kinds": [kind.name for kind in NETWORK_KINDS],
        "weights_sha256": hashlib.sha256(content).hexdigest(),
        "threshold": round(threshold, 4),
        "max_distance": round(limit, 2),
        "training": {**facts, "calibration_images": len(small)},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / WEIGHTS).write_bytes(content)
    (out / DOCUMENT).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def one_class(network: FrontalNetwork, bank: Bank, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return centre and whitening of the features of frontal chests, as they come."""
    rng = np.random.default_rng(seed)
    found = []
    for group in ("real/pediatric", "real/adult frontal"):
        if group not in bank.groups:
            continue
        images = bank.groups[group]
        # The few adults are seen many times: they are to count, too.
        repeats = 1 if group == "real/pediatric" else _ADULT_VIEWS
        order = np.tile(np.arange(len(images)), repeats)
        for rows in np.array_split(order, -(-len(order) // _BATCH)):
            taken = torch.from_numpy(images[rows].astype(np.float32) / np.float32(255.0))
            seen = sampled(taken, whole_window(rng, len(taken)), rng)
            with torch.inference_mode():
                found.append(network.features(standardise(regraded(seen, rng))))
    features = torch.cat(found)
    centre = features.mean(dim=0)
    covariance = torch.cov(features.T)
    ridge = _RIDGE * covariance.diagonal().mean()
    inverse = torch.linalg.inv(covariance + ridge * torch.eye(len(covariance)))
    return centre, torch.linalg.cholesky(inverse)


def answers(network: FrontalNetwork, small: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the probabilities of the kinds, and the features, of thumbnails."""
    probabilities, features = [], []
    for part in torch.split(small, _BATCH):
        with torch.inference_mode():
            hidden = network.features(standardise(part))
            probabilities.append(network.logits(hidden).softmax(1))
            features.append(hidden)
    return torch.cat(probabilities), torch.cat(features)
