"""Random transforms: what the configuration switches on, and where the randomness comes from."""

from __future__ import annotations

import copy
import pickle
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.transforms.compose import Compose
from monai.transforms.transform import RandomizableTransform

from cxrscreen.config import AugmentConfig, load_training_config
from cxrscreen.training import distortions
from cxrscreen.training.appearance import (
    Appearance,
    appearances,
    grey_levels_of,
    sharpness_of,
)
from cxrscreen.training.augment import (
    RandomChaind,
    needs_donors,
    random_steps,
    random_transforms,
)
from cxrscreen.training.distortions import blur

CONFIGS = Path(__file__).parents[2] / "configs"
SIDE = 64
SINGLE = {
    "rotation_degrees": 15,
    "zoom_fraction": 0.2,
    "shift_fraction": 0.1,
    "horizontal_flip": 1.0,
    "border_crop_fraction": 0.1,
    "gamma_range": (0.5, 0.6),
    "contrast_range": (0.5, 0.6),
    "brightness": 0.2,
    "blur_sigma_px": 3.0,
    "resolution_px": 20,
    "jpeg_quality": 20,
    "noise_std": 0.2,
    "grey_level_exchange": 1.0,
    "sharpness_exchange": 1.0,
    "border_erase_fraction": 0.2,
    "lungs_erased": 0.4,
}


def picture(side: int = SIDE) -> torch.Tensor:
    return torch.rand(1, side, side, generator=torch.Generator().manual_seed(1))


def donors(side: int) -> tuple[Appearance, ...]:
    dim = blur(picture(side), 2.0) * 0.4
    return appearances([dim, picture(side) ** 2])


def chain(config: AugmentConfig, side: int = SIDE) -> RandomChaind:
    (only,) = random_transforms(config, size_px=side, donors=donors(side))
    assert isinstance(only, RandomChaind)
    return only


def everything() -> AugmentConfig:
    return AugmentConfig.model_validate(
        {**SINGLE, "gamma_range": (0.6, 1.6), "contrast_range": (0.7, 1.4), "horizontal_flip": 0.5}
    )


def draw(transform: RandomChaind, seed: int, image: torch.Tensor) -> torch.Tensor:
    return transform.set_random_state(seed=seed)({"image": image})["image"]


def test_every_key_of_the_configuration_is_tested_here():
    assert {*SINGLE, "probability"} == set(AugmentConfig.model_fields)


@pytest.mark.parametrize("key", SINGLE)
def test_each_augmentation_moves_pixels_and_keeps_their_range(key):
    transform = chain(AugmentConfig.model_validate({key: SINGLE[key]}))
    assert len(transform.steps) == 1
    image = picture()
    moved = 0
    for seed in range(12):
        result = draw(transform, seed, image)
        assert type(result) is torch.Tensor
        assert result.shape == image.shape
        assert 0 <= float(result.min()) <= float(result.max()) <= 1
        moved += not torch.equal(result, image)
    assert moved
    assert torch.equal(image, picture())


@pytest.mark.parametrize(
    "nothing",
    [
        {},
        {**{key: SINGLE[key] for key in list(SINGLE)[5:-1]}, "probability": 0.0},
        {"resolution_px": SIDE},
    ],
)
def test_what_is_switched_off_is_left_out(nothing):
    assert random_transforms(AugmentConfig.model_validate(nothing), size_px=SIDE) == []


def test_the_order_is_that_in_which_an_image_comes_about():
    steps = random_steps(everything(), size_px=224, donors=donors(224))
    assert [step.name for step in steps] == [
        "geometry",
        "grey_level_exchange",
        "gamma",
        "contrast",
        "brightness",
        "sharpness_exchange",
        "blur",
        "resolution",
        "noise",
        "jpeg",
        "border_erase",
        "lungs_erased",
    ]


@pytest.mark.parametrize("config", ["resnet50.yaml", "scratch_cnn.yaml", "smoke.yaml"])
def test_configurations_that_ship_switch_on_what_their_shortcuts_need(config):
    augment = load_training_config(CONFIGS / config).augment
    names = {step.name for step in random_steps(augment, size_px=224, donors=donors(224))}
    assert config == "smoke.yaml" or {"geometry", "blur", "jpeg", "border_erase"} <= names


def test_a_flip_alone_is_left_to_right():
    image = picture()
    assert torch.equal(draw(chain(AugmentConfig(horizontal_flip=1.0)), 0, image), image.flip(-1))


def test_a_flip_comes_as_often_as_it_should():
    transform, image = chain(AugmentConfig(horizontal_flip=0.3)), picture(8)
    flipped = sum(torch.equal(draw(transform, seed, image), image.flip(-1)) for seed in range(1000))
    # Five standard deviations.
    assert abs(flipped - 300) < 5 * (1000 * 0.3 * 0.7) ** 0.5


def test_each_step_has_the_chance_of_the_configuration_by_itself():
    config = everything().model_copy(update={"probability": 0.3})
    transform, image = chain(config), picture()
    applied = []
    for seed in range(400):
        draw(transform, seed, image)
        applied.append([step.strength is not None for step in transform.steps])
    rates = np.mean(applied, axis=0)
    assert rates[0] == 1
    assert np.all(np.abs(rates[1:-1] - 0.3) < 5 * (0.3 * 0.7 / 400) ** 0.5)
    # Lungs are erased by a chance of their own.
    assert abs(rates[-1] - config.lungs_erased) < 5 * (0.4 * 0.6 / 400) ** 0.5
    # Drawn one by one: no step comes with another one always or never.
    together = np.corrcoef(np.array(applied)[:, 1:].T)
    assert np.abs(together - np.eye(len(together))).max() < 0.25


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**64))
def test_the_same_seed_is_the_same_picture(seed):
    image, transform = picture(), chain(everything())
    first = draw(transform, seed, image)
    draw(transform, seed + 1, image)
    assert torch.equal(draw(transform, seed, image), first)
    assert torch.equal(draw(chain(everything()), seed, image), first)


def test_strengths_stay_within_the_configuration():
    config = everything()
    transform, image = chain(config, 96), picture(96)
    drawn: dict[str, list] = {step.name: [] for step in transform.steps}
    for seed in range(300):
        draw(transform, seed, image)
        for step in transform.steps:
            if step.strength is not None:
                drawn[step.name].append(step.strength[0])
    limits = {
        "gamma": config.gamma_range,
        "contrast": config.contrast_range,
        "brightness": (-config.brightness, config.brightness),
        "blur": (0, config.blur_sigma_px),
        "resolution": (config.resolution_px, 95),
        "jpeg": (config.jpeg_quality, 95),
        "border_erase": (0, config.border_erase_fraction),
    }
    for name, (low, high) in limits.items():
        assert low <= min(drawn[name]) <= low + 0.2 * (high - low), name
        assert high >= max(drawn[name]) >= high - 0.2 * (high - low), name
    for warp in drawn["geometry"]:
        assert abs(warp.rotation_degrees) <= config.rotation_degrees
        assert max(abs(factor - 1) for factor in warp.zoom) <= config.zoom_fraction + 1e-9
        assert max(map(abs, warp.shift)) <= config.shift_fraction
        assert 0 <= min(warp.crop) <= max(warp.crop) <= config.border_crop_fraction


def test_copies_and_pickles_keep_one_stream():
    image, transform = picture(), chain(everything())
    expected = draw(transform, 5, image)
    for twin in (copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):  # noqa: S301
        assert all(step.R is twin.R for step in twin.steps)
        assert torch.equal(draw(twin, 5, image), expected)


def test_streams_are_not_shared_between_chains_or_with_monai():
    image, (first, second) = picture(), (chain(everything()) for _ in range(2))
    # The stream of MONAI's class serves whoever has not been seeded.
    state = RandomizableTransform.R.get_state()[1].copy()
    expected = [first.set_random_state(seed=1)({"image": image})["image"] for _ in range(1)]
    expected.append(first({"image": image})["image"])
    first.set_random_state(seed=1)
    second.set_random_state(seed=2)
    found = []
    for _ in range(2):
        found.append(first({"image": image})["image"])
        second({"image": image})
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert np.array_equal(RandomizableTransform.R.get_state()[1], state)


def test_a_stream_that_is_handed_over_is_used_and_not_seeded():
    image, transform = picture(), chain(everything())
    theirs = np.random.RandomState(3)
    result = transform.set_random_state(state=theirs)({"image": image})["image"]
    assert torch.equal(result, draw(transform, 3, image))
    after = theirs.get_state()[1].copy()
    draw(transform, 4, image)
    assert np.array_equal(theirs.get_state()[1], after)


def test_monai_composes_and_seeds_it():
    image = picture()
    pictures = []
    for _ in range(2):
        composed = Compose(random_transforms(everything(), size_px=SIDE, donors=donors(SIDE)))
        composed.set_random_state(seed=9)
        pictures.append(composed({"image": image, "label": torch.ones(1)}))
    assert torch.equal(pictures[0]["image"], pictures[1]["image"])
    assert not torch.equal(pictures[0]["image"], image)
    assert pictures[0]["label"] in (1, 0.5)


def test_seeding_costs_less_than_100_microseconds():
    transform = chain(everything())
    fastest = min(_seconds(transform) for _ in range(20))
    assert fastest < 100e-6


def _seconds(transform: RandomChaind) -> float:
    started = time.perf_counter()
    for seed in range(20):
        transform.set_random_state(seed=seed)
    return (time.perf_counter() - started) / 20


def function_of(name: str):
    others = {
        "geometry": distortions.warp,
        "grey_level_exchange": grey_levels_of,
        "sharpness_exchange": sharpness_of,
        "noise": distortions.seeded_noise,
        "lungs_erased": distortions.middle_erase,
    }
    return others.get(name) or getattr(distortions, name)


def test_an_image_without_lungs_is_of_neither_class():
    transform = chain(AugmentConfig(lungs_erased=0.4))
    labels = set()
    for seed in range(30):
        sample = transform.set_random_state(seed=seed)({"image": picture(), "label": torch.ones(1)})
        erased = not torch.equal(sample["image"], picture())
        labels.add((erased, float(sample["label"])))
        if erased:
            middle = sample["image"][..., 12:-12, 12:-12]
            assert float(middle.max()) == float(middle.min())
    assert labels == {(True, 0.5), (False, 1.0)}


def test_an_exchange_without_donors_is_left_out():
    config = AugmentConfig(grey_level_exchange=1.0, sharpness_exchange=1.0)
    assert needs_donors(config)
    assert not needs_donors(AugmentConfig())
    assert random_transforms(config, size_px=SIDE) == []


def test_the_chain_is_the_composition_of_its_distortions():
    image, transform = picture(), chain(everything())
    result = draw(transform, 17, image)
    expected = image
    for step in transform.steps:
        if step.strength is not None:
            expected = function_of(step.name)(expected, *step.strength)
    assert torch.equal(result, expected)
