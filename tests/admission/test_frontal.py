"""The packaged check for upright, uninverted frontal chests."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray

import cxrscreen
from cxrscreen.admission.frontal import (
    DOCUMENT,
    NETWORK_KINDS,
    WEIGHTS,
    FrontalCheck,
    FrontalVerdict,
    Kind,
)
from cxrscreen.admission.frontal_network import standardise, thumbnail
from cxrscreen.errors import BundleError, ImageRefusedError
from cxrscreen.intake.reader import open_image
from cxrscreen.records import Source
from tools.frontal_check.sources import real_images
from tools.phantom import project, project_hand, sample_anatomy

PACKAGED = Path(cxrscreen.__file__).parent / "admission"
SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


@pytest.fixture(scope="module")
def check() -> FrontalCheck:
    return FrontalCheck.packaged()


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in (DOCUMENT, WEIGHTS):
        shutil.copy(PACKAGED / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="module")
def image() -> NDArray[np.float32]:
    """A phantom of a child's frontal chest."""
    rng = np.random.default_rng(77)
    child = sample_anatomy(rng, pneumonia=False)
    return project(child, view="frontal", shape=(300, 380), rng=rng).astype(np.float32)


def judge(check: FrontalCheck, pixels: NDArray[np.floating]) -> FrontalVerdict:
    return check.judge(np.ascontiguousarray(pixels, dtype=np.float32))


@pytest.mark.parametrize("path", sorted((SAMPLES / "frontal").iterdir()), ids=lambda p: p.name)
def test_frontal_sample_data_are_kept(check: FrontalCheck, path: Path) -> None:
    verdict = check.judge(open_image(Source(path)).read_pixels().pixels)
    assert verdict.accepted, verdict.sentence


@pytest.mark.parametrize("name", ["lateral.dcm", "hand.dcm"])
def test_lateral_view_and_hand_of_the_sample_data_are_refused(
    check: FrontalCheck, name: str
) -> None:
    assert not check.judge(
        open_image(Source(SAMPLES / "refused" / name)).read_pixels().pixels
    ).accepted


@pytest.mark.parametrize("pneumonia", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_phantom_chest_is_kept_and_its_side_view_is_not(
    check: FrontalCheck, seed: int, *, pneumonia: bool
) -> None:
    rng = np.random.default_rng((31, seed))
    child = sample_anatomy(rng, pneumonia=pneumonia)
    frontal = judge(check, project(child, view="frontal", shape=(240, 300), rng=rng))
    assert frontal.accepted, frontal.sentence
    assert frontal.kind is Kind.FRONTAL
    raised = replace(child, arms=(1.3, 1.4))
    side = judge(check, project(raised, view="lateral", shape=(300, 250), rng=rng))
    assert not side.accepted
    assert side.kind is Kind.LATERAL


def test_a_chest_is_kept_whatever_its_shape_and_mirrored(
    check: FrontalCheck, image: NDArray[np.float32]
) -> None:
    for changed in (image[::2], image[:, ::2], image[:, ::-1], image**0.7, image**1.4):
        verdict = judge(check, changed)
        assert verdict.accepted, verdict.sentence


@pytest.mark.parametrize(
    ("turns", "kind"), [(1, Kind.TURNED_LEFT), (2, Kind.UPSIDE_DOWN), (3, Kind.TURNED_RIGHT)]
)
def test_a_turned_chest_is_refused_and_the_turn_named(
    check: FrontalCheck, image: NDArray[np.float32], turns: int, kind: Kind
) -> None:
    verdict = judge(check, np.rot90(image, turns))
    assert not verdict.accepted
    assert verdict.kind is kind


def test_an_inverted_chest_is_refused_as_inverted(
    check: FrontalCheck, image: NDArray[np.float32]
) -> None:
    verdict = judge(check, 1.0 - image)
    assert (verdict.accepted, verdict.kind) == (False, Kind.INVERTED)


@pytest.mark.parametrize(
    "part", [np.s_[:150, :190], np.s_[:, :160], np.s_[:, 220:], np.s_[90:180, 130:250]]
)
def test_an_extreme_crop_is_refused(
    check: FrontalCheck, image: NDArray[np.float32], part: tuple[slice, slice]
) -> None:
    assert not judge(check, image[part]).accepted


@pytest.mark.parametrize("seed", range(3))
def test_a_phantom_hand_is_refused(check: FrontalCheck, seed: int) -> None:
    hand = project_hand(shape=(300, 250), rng=np.random.default_rng((32, seed)))
    assert not judge(check, hand).accepted


def made_up(seed: int) -> dict[str, NDArray[np.float64]]:
    """Images of nothing: noise, gradients, and scenes with edges and shades."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:1:240j, 0:1:320j]
    scene = 0.6 * y + 0.2 * rng.random()
    for _ in range(12):
        away = np.hypot(x - rng.random(), y - rng.random())
        scene = np.where(away < 0.3 * rng.random(), rng.random(), scene)
    return {
        "white noise": rng.random((300, 300)),
        "grey noise": rng.normal(0.5, 0.1, (500, 400)).clip(0.0, 1.0),
        "gradient": x,
        "two columns": 0.5 + 0.5 * np.sin(4 * np.pi * x),
        "scene": scene.clip(0.0, 1.0),
        "checks": (np.sin(40 * x) * np.sin(40 * y) > 0).astype(float),
    }


@pytest.mark.parametrize("name", made_up(0))
def test_what_is_no_radiograph_is_refused(check: FrontalCheck, name: str) -> None:
    for seed in range(3):
        verdict = judge(check, made_up(seed)[name])
        assert not verdict.accepted, verdict.sentence


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((200, 200)),
        np.full((200, 200), 0.4),
        np.ones((30, 4000)),
        np.repeat([[0.0, 1.0]], 200, axis=0).repeat(100, axis=1),
    ],
    ids=["black", "grey", "white strip", "black and white"],
)
def test_blank_and_saturated_images_are_named(
    check: FrontalCheck, pixels: NDArray[np.float64]
) -> None:
    verdict = judge(check, pixels)
    assert (verdict.accepted, verdict.kind) == (False, Kind.BLANK)
    assert "% of its pixels" in verdict.sentence


def test_a_verdict_says_what_decided(check: FrontalCheck, image: NDArray[np.float32]) -> None:
    verdict = judge(check, image.T)
    assert set(verdict.probabilities) == set(NETWORK_KINDS)
    assert sum(verdict.probabilities.values()) == pytest.approx(1.0, abs=1e-4)
    assert verdict.probability == verdict.probabilities[Kind.FRONTAL]
    assert verdict.sentence == (
        f"P(frontal chest) is {verdict.probability:.3f}; looks like: {verdict.kind}"
    )


def test_no_verdict_accepts_what_it_does_not_call_frontal() -> None:
    with pytest.raises(ValueError, match="accepted=True"):
        FrontalVerdict(Kind.LATERAL, True, 0.9, 0.5, {})  # noqa: FBT003
    with pytest.raises(ValueError, match="accepted=False"):
        FrontalVerdict(Kind.FRONTAL, False, 0.1, 0.5, {})  # noqa: FBT003


def test_the_same_image_gets_the_same_verdict(
    check: FrontalCheck, image: NDArray[np.float32]
) -> None:
    before = image.copy()
    assert judge(check, image) == FrontalCheck(PACKAGED).judge(image)
    assert (image == before).all()


def test_the_packaged_check_is_loaded_once() -> None:
    assert FrontalCheck.packaged() is FrontalCheck.packaged()


def test_the_packaged_check_is_small() -> None:
    assert sum((PACKAGED / name).stat().st_size for name in (DOCUMENT, WEIGHTS)) < 3_000_000


@pytest.mark.parametrize("name", [DOCUMENT, WEIGHTS])
def test_a_missing_file_is_an_error(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        FrontalCheck(copied)


def test_changed_weights_are_an_error(copied: Path) -> None:
    content = bytearray((copied / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (copied / WEIGHTS).write_bytes(bytes(content))
    with pytest.raises(BundleError, match="SHA-256"):
        FrontalCheck(copied)


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 1.5},
        {"threshold": None},
        {"unknown": 1},
        {"schema_version": 2},
        {"weights_sha256": "0"},
    ],
)
def test_a_document_that_breaks_the_schema_is_an_error(
    copied: Path, change: dict[str, object]
) -> None:
    document = json.loads((copied / DOCUMENT).read_text("utf-8")) | change
    (copied / DOCUMENT).write_text(json.dumps(document), "utf-8")
    with pytest.raises(BundleError, match="1 entries are wrong"):
        FrontalCheck(copied)


@pytest.mark.parametrize("change", [{"kinds": ["FRONTAL"]}, {"architecture": "another"}])
def test_a_document_of_another_version_is_an_error(copied: Path, change: dict[str, object]) -> None:
    document = json.loads((copied / DOCUMENT).read_text("utf-8")) | change
    (copied / DOCUMENT).write_text(json.dumps(document), "utf-8")
    with pytest.raises(BundleError, match="another version"):
        FrontalCheck(copied)


def test_weights_of_another_network_are_an_error(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = safetensors.torch.load_file(copied / WEIGHTS)
    del stored["logits.bias"]
    content = safetensors.torch.save(stored)
    (copied / WEIGHTS).write_bytes(content)
    document = json.loads((copied / DOCUMENT).read_text("utf-8"))

    class Digest:
        def hexdigest(self) -> str:
            return document["weights_sha256"]

    monkeypatch.setattr("hashlib.sha256", lambda _: Digest())
    with pytest.raises(BundleError, match="not the weights"):
        FrontalCheck(copied)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3000, 2), (113, 449), (2500, 3000)])
def test_a_thumbnail_is_made_of_any_shape(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).random(shape, dtype=np.float32)
    small = thumbnail(pixels)
    assert small.shape == (112, 112)
    assert float(small.mean()) == pytest.approx(float(pixels.mean()), abs=0.1)


def test_standardised_images_do_not_depend_on_brightness_and_contrast() -> None:
    images = torch.from_numpy(np.random.default_rng(1).random((2, 112, 112), dtype=np.float32))
    first, second = standardise(images), standardise(0.3 + 0.4 * images)
    assert first.shape == (2, 2, 112, 112)
    assert torch.allclose(first, second, atol=1e-3)


def test_real_images_that_training_never_saw_are_told_apart(
    check: FrontalCheck, real_data: Path
) -> None:
    wrong: dict[str, list[bool]] = {}
    for found in real_images(real_data / "data"):
        if found.part != "test" or found.source == "pediatric":
            continue
        verdict = check.judge(open_image(Source(found.path)).read_pixels().pixels)
        frontal = found.source in ("pediatric, original size", "adult frontal")
        wrong.setdefault(found.source, []).append(verdict.accepted != frontal)
    assert len(wrong) == 10
    shares = {source: sum(w) / len(w) for source, w in wrong.items()}
    assert {source: share for source, share in shares.items() if share > 0.0} == {}


def test_real_dicom_files_of_other_things_are_refused(check: FrontalCheck, real_data: Path) -> None:
    kept = []
    for path in sorted((real_data / "dicom").rglob("*.dcm")):
        try:
            pixels = open_image(Source(path)).read_pixels().pixels
        except ImageRefusedError:
            continue
        if check.judge(pixels).accepted:
            kept.append(path.name)
    assert [name for name in kept if "RG1" not in name] == [
        "nih_dx_no_view_tag.dcm",
        "rsna_850819.dcm",
    ]
    assert len(kept) == 4
