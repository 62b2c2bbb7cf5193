"""The images of training and evaluation: real ones split by hash, drawn ones by seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from cxrscreen.admission.frontal_network import thumbnail
from cxrscreen.data.patients import patient_key
from cxrscreen.intake import open_image
from cxrscreen.records import Source
from tools.frontal_check.bodies import BODIES, lateral
from tools.frontal_check.graphics import GRAPHICS
from tools.frontal_check.shapes import SIDE
from tools.phantom import project, project_hand, sample_anatomy

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tools.frontal_check.shapes import Draw

#: Where the images of each source lie below the data folder.
FOLDERS: Final = {
    "pediatric": "pediatric_cxr_224/train",
    "pediatric, original size": "pediatric_cxr_originals",
    "adult frontal": "adult_cxr/frontal",
    "adult lateral": "adult_cxr/lateral",
    "photograph": "not_cxr/photo",
    "CT slice": "not_cxr/ct_slice",
    "hand": "not_cxr/hand_64px",
    "head CT": "not_cxr/headct_64px",
    "chest CT": "not_cxr/chestct_64px",
    "abdomen CT": "not_cxr/abdomenct_64px",
    "breast MRI": "not_cxr/breastmri_64px",
}
# As in configs/scratch_cnn.yaml.
_PATIENT = r"^(?:(person\d+)_(bacteria|virus)_|((?:NORMAL2-)?IM-\d+)-)"
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
# Share of each source, by patient or by name, that training sees; of the pediatric patients a
# further part fits the operating point.
_TRAINING = 0.6
_CALIBRATION = 0.2
_PHANTOMS = 160
_LATERALS = 260
_BODIES = 130
_GRAPHICS = 160


@dataclass(frozen=True)
class RealImage:
    """One real image: its source, its file, and the part it is in."""

    source: str
    path: Path
    part: str


def part_of(source: str, key: str, fold: int = 0) -> str:
    """Return ``train``, ``calibration`` or ``test`` for a patient's or an image's key.

    Parameters
    ----------
    fold
        0 of the packaged check; 1 tests what lies next, for cross-validation.
    """
    digest = hashlib.sha256(f"frontal-check/{key}".encode()).digest()
    place = (int.from_bytes(digest[:4], "big") / 2**32 + fold * (1.0 - _TRAINING)) % 1.0
    if place < _TRAINING:
        return "train"
    calibrates = source == "pediatric" and place < _TRAINING + _CALIBRATION
    return "calibration" if calibrates else "test"


def real_images(data: Path, fold: int = 0) -> list[RealImage]:
    """Return every real image below the data folder, sorted, with its part."""
    found = []
    for source, folder in FOLDERS.items():
        for path in sorted((data / folder).rglob("*")):
            if path.suffix.lower() not in _IMAGE_SUFFIXES:
                continue
            pediatric = source.startswith("pediatric")
            key = patient_key(path, _PATIENT) if pediatric else f"{source}/{path.name}"
            # The images at original size share patients with the others, and so the key.
            part = part_of("pediatric" if pediatric else source, key, fold)
            found.append(RealImage(source, path, part))
    return found


@dataclass(frozen=True)
class Bank:
    """Images of equal size by group, uint8 ``[N, SIDE, SIDE]`` each."""

    groups: dict[str, NDArray[np.uint8]]

    def save(self, path: Path) -> None:
        """Write the bank to one file."""
        np.savez(path, **{name.replace("/", "|"): v for name, v in self.groups.items()})  # type: ignore[arg-type]

    def without(self, words: list[str]) -> Bank:
        """Return the bank less the groups that hold one of the words in their names."""
        kept = {n: v for n, v in self.groups.items() if not any(word in n for word in words)}
        return Bank(kept)

    @classmethod
    def load(cls, path: Path) -> Bank:
        """Read what :meth:`save` wrote."""
        with np.load(path) as stored:
            return cls({name.replace("|", "/"): stored[name] for name in stored.files})


def build_bank(data: Path, seed: int, fold: int = 0) -> Bank:
    """Read the training part of every source, and draw the rest.

    Groups are named ``real/…``, ``body/…``, ``graphics/…``, ``phantom/…`` and
    ``drawn/lateral``.
    """
    lists: dict[str, list[NDArray[np.uint8]]] = {}
    for image in real_images(data, fold):
        if image.part == "train" and image.source != "pediatric, original size":
            pixels = thumbnail(open_image(Source(image.path)).read_pixels().pixels, SIDE).numpy()
            lists.setdefault(f"real/{image.source}", []).append(_bytes(pixels))
    for name, draw in BODIES.items():
        lists[f"body/{name}"] = [drawn(draw, seed, name, n) for n in range(_BODIES)]
    for name, draw in GRAPHICS.items():
        lists[f"graphics/{name}"] = [drawn(draw, seed, name, n) for n in range(_GRAPHICS)]
    lists["drawn/lateral"] = [drawn(lateral, seed, "lateral", n) for n in range(_LATERALS)]
    for view in ("frontal", "lateral"):
        lists[f"phantom/{view}"] = [phantom(seed, n, view) for n in range(_PHANTOMS)]
    lists["phantom/hand"] = [
        _bytes(project_hand(shape=(SIDE, SIDE), rng=_generator(seed, "phantom hand", n)))
        for n in range(_PHANTOMS // 4)
    ]
    return Bank({name: np.stack(images) for name, images in lists.items()})


def drawn(draw: Draw, seed: int, name: str, number: int) -> NDArray[np.uint8]:
    """Return image ``number`` of a recipe, the same for the same seed."""
    return _bytes(draw(_generator(seed, name, number)))


def phantom(seed: int, number: int, view: str) -> NDArray[np.uint8]:
    """Return a radiograph of a phantom child, every second one with pneumonia."""
    rng = _generator(seed, f"phantom {view}", number)
    child = sample_anatomy(rng, pneumonia=number % 2 == 1)
    if view == "lateral":
        child = replace(child, arms=(rng.uniform(0.8, 1.4), rng.uniform(0.8, 1.4)))
        shape = (160, int(rng.integers(110, 161)))
        taken = project(child, view="lateral", shape=shape, rng=rng)
    else:
        shape = (int(rng.integers(110, 161)), 160)
        taken = project(child, view="frontal", shape=shape, rng=rng)
    return _bytes(thumbnail(taken.astype(np.float32), SIDE).numpy())


def _generator(seed: int, name: str, number: int) -> np.random.Generator:
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng((seed, int.from_bytes(digest[:4], "big"), number))


def _bytes(image: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(image * 255.0 + 0.5, 0.0, 255.0), dtype=np.uint8)
