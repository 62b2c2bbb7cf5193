"""From a loaded batch to what the network is given."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from cxrscreen.errors import DatasetError
from cxrscreen.training.batches import BatchPreparation


def batch(count: int = 6, side: int = 32) -> dict:
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([[float(index % 2)] for index in range(count)])
    return {"image": images, "label": labels, "error": [""] * count}


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_batch_is_left_as_it_is_but_for_its_layout(channels_last):
    given = batch()
    images, labels = BatchPreparation(channels_last=channels_last)(given)
    assert torch.equal(images, given["image"])
    assert torch.equal(labels, given["label"])
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert images.is_contiguous(memory_format=layout)


def test_a_phase_may_train_on_smaller_images():
    given = batch()
    images, _ = BatchPreparation(channels_last=True, size_px=16)(given)
    assert images.shape == (6, 3, 16, 16)
    expected = functional.interpolate(
        given["image"], size=(16, 16), mode="bilinear", antialias=True
    )
    assert torch.allclose(images, expected, atol=1e-6)
    same, _ = BatchPreparation(channels_last=True, size_px=64)(given)
    assert torch.equal(same, given["image"])


def test_images_and_labels_are_mixed_by_one_share():
    given, prepare = batch(), BatchPreparation(channels_last=False, mixup_alpha=0.4)
    torch.manual_seed(3)
    images, labels = prepare(given)
    torch.manual_seed(3)
    again, _ = prepare(given)
    assert torch.equal(images, again)
    assert not torch.equal(images, given["image"])
    # Each image is one on the line between two of the batch; so is its label.
    for image, label in zip(images, labels, strict=True):
        found = False
        for first, of_first in zip(given["image"], given["label"], strict=True):
            for second, of_second in zip(given["image"], given["label"], strict=True):
                way = (second - first).flatten()
                length = float(way @ way)
                share = float((image - first).flatten() @ way) / length if length else 0.0
                on_line = torch.allclose(image, first + share * (second - first), atol=1e-4)
                expected = float(of_first + share * (of_second - of_first))
                found |= on_line and abs(float(label) - expected) < 1e-3
        assert found


def test_an_image_that_could_not_be_read_is_named():
    given = batch()
    given["error"][2] = "x.png: is damaged"
    with pytest.raises(DatasetError, match=r"x\.png: is damaged"):
        BatchPreparation(channels_last=True)(given)


def test_borders_are_exchanged_and_the_middle_is_not():
    count = 40
    given = {
        "image": torch.arange(float(count))[:, None, None, None].expand(count, 3, 50, 50),
        "label": torch.ones(count, 1),
        "error": [""] * count,
    }
    torch.manual_seed(1)
    images, labels = BatchPreparation(channels_last=False, border_exchange=0.5)(given)
    assert torch.equal(images[..., 7:-7, 7:-7], given["image"][..., 7:-7, 7:-7])
    assert torch.equal(labels, given["label"])
    changed = images[:, 0, 0, 0] != torch.arange(float(count))
    # Five standard deviations.
    assert abs(int(changed.sum()) - count / 2) < 5 * (count / 4) ** 0.5
    for image in images[changed]:
        assert len(image.unique()) == 2
        assert len(image[:, 0].unique()) == len(image[:, :, 0].unique()) == 1
