"""Training and evaluation of the frontal check: parts, drawn images, batches, the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cxrscreen.admission.frontal import NETWORK_KINDS, FrontalCheck, Kind
from tools.frontal_check.bodies import BODIES, lateral
from tools.frontal_check.compose import Composer
from tools.frontal_check.evaluate import Case, evaluate, markdown
from tools.frontal_check.fit import Schedule, fit
from tools.frontal_check.graphics import GRAPHICS
from tools.frontal_check.release import one_class
from tools.frontal_check.shapes import SIDE
from tools.frontal_check.sources import Bank, drawn, part_of, real_images

RECIPES = {**BODIES, **GRAPHICS, "lateral": lateral}
GROUPS = (
    "real/pediatric",
    "real/adult frontal",
    "real/adult lateral",
    "real/photograph",
    "phantom/frontal",
    "body/limb",
    "graphics/texture",
)


@pytest.fixture
def bank() -> Bank:
    rng = np.random.default_rng(3)
    return Bank({g: rng.integers(0, 256, (4, SIDE, SIDE), dtype=np.uint8) for g in GROUPS})


@pytest.mark.parametrize("name", RECIPES)
def test_a_drawn_image_is_the_same_for_the_same_seed_alone(name: str) -> None:
    first, again = (drawn(RECIPES[name], 1, name, 0) for _ in range(2))
    assert first.shape == (SIDE, SIDE)
    assert first.std() > 1.0
    assert (first == again).all()
    assert (first != drawn(RECIPES[name], 2, name, 0)).any()


def test_a_batch_holds_every_kind_in_range_and_the_same_for_a_seed(bank: Bank) -> None:
    images, labels = Composer(bank, 5).batch()
    assert set(labels.tolist()) <= set(range(len(NETWORK_KINDS)))
    assert {NETWORK_KINDS.index(Kind.FRONTAL), NETWORK_KINDS.index(Kind.OTHER)} <= set(
        labels.tolist()
    )
    assert images.shape == (len(labels), 112, 112)
    assert float(images.min()) >= 0.0
    assert float(images.max()) <= 1.0
    assert torch.equal(labels, Composer(bank, 5).batch()[1])


def test_training_works_without_a_kind_and_goes_on_from_a_checkpoint(
    bank: Bank, tmp_path: Path
) -> None:
    less = bank.without(["adult frontal", "photograph"])
    assert set(bank.groups) - set(less.groups) == {
        "real/adult frontal",
        "real/photograph",
    }
    path = tmp_path / "checkpoint.pt"
    network = fit(less, Schedule(steps=1), path)
    again = fit(less, Schedule(steps=0), tmp_path / "second.pt", path)
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    centre, whitening = one_class(network, less, 1)
    assert torch.isfinite(centre).all()
    assert torch.isfinite(whitening).all()


def test_parts_hang_on_the_key_and_the_fold() -> None:
    keys = [str(n) for n in range(2000)]
    parts = [part_of("pediatric", key) for key in keys]
    assert parts == [part_of("pediatric", key) for key in keys]
    assert 0.57 < parts.count("train") / len(keys) < 0.63
    assert {part_of("photograph", key) for key in keys} == {"train", "test"}
    second = [part_of("photograph", key, 1) for key in keys]
    first = [part_of("photograph", key) for key in keys]
    assert not {k for k, a, b in zip(keys, first, second, strict=True) if a == b == "test"}


def test_no_patient_is_in_two_parts(real_data: Path) -> None:
    parts: dict[str, set[str]] = {}
    for image in real_images(real_data / "data"):
        if image.source.startswith("pediatric"):
            parts.setdefault(image.path.name, set()).add(image.part)
    assert [name for name, found in parts.items() if len(found) > 1] == []


def test_the_table_counts_what_is_kept_and_what_intake_refuses() -> None:
    blank = np.zeros((200, 200), dtype=np.float32)
    cases = [
        Case("chests", "a", frontal=True, pixels=blank),
        Case("others", "b", frontal=False, pixels=blank),
        Case("others", "c", frontal=False, pixels=None),
    ]
    table = evaluate(FrontalCheck.packaged(), iter(cases))
    text = markdown(table)
    assert "| chests | 1 | 0 | 1 | 0.0% (0.0% to 97.5%) | blank or saturated |" in text
    assert "| others | 2 | 0 | 2 (1 by intake) | 100.0% (15.8% to 100.0%) |" in text
    assert len(table[True, "chests"].wrong) == 1
