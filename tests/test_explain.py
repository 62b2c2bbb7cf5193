from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from cxrscreen.config import ResNet50Config, ScratchCNNConfig
from cxrscreen.explain import activation_map, activation_maps, explained_layer, network_maps
from cxrscreen.model.network import build_network
from cxrscreen.preprocess import to_tensor

STEPS = 30
CONFIG = ScratchCNNConfig(architecture="scratch_cnn", widths=(8, 16), dense_units=8, dropout=0.0)


def spots(*, bright=None, dark=None, seed=0):
    """Noise of 64 x 64 pixels with a bright and a dark spot where they are wanted."""
    image = 0.3 * torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(seed))
    for place, change in ((bright, 2.0), (dark, -2.0)):
        if place is not None:
            row, column = place
            image[0, row - 4 : row + 4, column - 4 : column + 4] += change
    return image


def places(seed, count):
    rng = np.random.default_rng(seed)
    return [tuple(int(v) for v in rng.integers(8, 56, 2)) for _ in range(count)]


def train(*, positive_is_bright):
    """Return a network that has learned which of the two spots an image has."""
    torch.manual_seed(1)
    network = build_network(CONFIG, in_channels=1)
    where = places(0, 16)
    images = [spots(bright=place, seed=k) for k, place in enumerate(where)]
    images += [spots(dark=place, seed=100 + k) for k, place in enumerate(where)]
    batch, bright = torch.stack(images), torch.tensor([1.0] * 16 + [0.0] * 16)
    labels = bright if positive_is_bright else 1 - bright
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(network(batch)[:, 0], labels)
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.2
    return network.eval()


@pytest.fixture(scope="module")
def spotter():
    return train(positive_is_bright=True)


def distance(found, place):
    peak = np.unravel_index(found.argmax(), found.shape)
    return float(np.hypot(peak[0] - place[0], peak[1] - place[1]))


def test_the_map_lies_on_what_speaks_for_the_disease(spotter):
    """With both spots in an image, the labels of the training tell which one it is."""
    other = train(positive_is_bright=False)
    pairs = [
        (bright, dark)
        for bright, dark in zip(places(7, 16), places(8, 16), strict=True)
        if np.hypot(bright[0] - dark[0], bright[1] - dark[1]) > 20
    ]
    images = [spots(bright=bright, dark=dark, seed=500) for bright, dark in pairs]
    assert len(images) >= 8
    correlations, hits = [], []
    maps = zip(
        network_maps(spotter, CONFIG, images), network_maps(other, CONFIG, images), strict=True
    )
    for (bright, dark), (of_bright, of_dark) in zip(pairs, maps, strict=True):
        for found in (of_bright, of_dark):
            assert found.shape == (64, 64)
            assert found.dtype == np.float32
            assert found.min() >= 0.0
            assert found.max() == 1.0
        hits += [distance(of_bright, bright) < 8, distance(of_dark, dark) < 8]
        correlations.append(np.corrcoef(of_bright.ravel(), of_dark.ravel())[0, 1])
    assert np.mean(hits) > 0.9
    assert np.median(correlations) < 0.2


def test_a_map_is_the_same_whatever_is_mapped_beside_it(spotter):
    images = [spots(bright=place) for place in places(3, 3)]
    together = network_maps(spotter, CONFIG, images)
    for image, found in zip(images, together, strict=True):
        alone = network_maps(spotter, CONFIG, [image])[0]
        np.testing.assert_array_equal(alone, found)
    assert network_maps(spotter, CONFIG, []) == ()


@pytest.mark.parametrize("bias", [-300.0, 300.0])
def test_a_very_sure_network_gives_the_same_map(spotter, bias):
    image = spots(bright=(30, 20))
    expected = network_maps(spotter, CONFIG, [image])[0]
    weights = dict(spotter.named_parameters())
    before = weights["head.6.bias"].detach().clone()
    try:
        weights["head.6.bias"].data += bias
        found = network_maps(spotter, CONFIG, [image])[0]
    finally:
        weights["head.6.bias"].data = before
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_there_is_no_map_where_nothing_raises_the_logit(spotter):
    silent = build_network(CONFIG, in_channels=1).eval()
    torch.nn.init.zeros_(silent.get_submodule("head.6").weight)
    assert network_maps(silent, CONFIG, [spots(bright=(30, 20))]) == (None,)


def test_the_network_is_left_as_it_was(spotter):
    state = {name: value.clone() for name, value in spotter.state_dict().items()}
    image = spots(bright=(30, 20))
    before = spotter(image[None])
    spotter.requires_grad_(requires_grad=False)
    try:
        assert network_maps(spotter, CONFIG, [image])[0] is not None
    finally:
        spotter.requires_grad_(requires_grad=True)
    assert torch.equal(spotter(image[None]), before)
    assert all(torch.equal(value, state[name]) for name, value in spotter.state_dict().items())
    assert not any(m._forward_hooks or m._backward_hooks for m in spotter.modules())  # noqa: SLF001
    assert not spotter.training
    assert not image.requires_grad


def test_the_resnet_is_explained_by_its_last_layer():
    torch.manual_seed(0)
    config = ResNet50Config(architecture="resnet50")
    network = build_network(config, in_channels=3).eval()
    assert explained_layer(network, config) == "layer4"
    found = network_maps(network, config, [spots(bright=(30, 20)).expand(3, -1, -1)])[0]
    assert found is not None
    assert found.shape == (64, 64)
    assert found.max() == 1.0


@pytest.mark.parametrize(
    ("widths", "convolutions", "layer"),
    [((4,), 1, "features.2"), ((4, 4, 4), 1, "features.10"), ((4, 4), 3, "features.12")],
)
def test_the_scratch_cnn_is_explained_by_its_last_convolution(widths, convolutions, layer):
    config = ScratchCNNConfig(
        architecture="scratch_cnn", widths=widths, convolutions_per_stage=convolutions
    )
    network = build_network(config, in_channels=1)
    assert explained_layer(network, config) == layer


def test_the_packaged_model_maps_a_phantom(packaged, chest):
    image = to_tensor(chest.astype(np.float32), packaged.spec)
    found = activation_map(packaged, image)
    side = packaged.spec.size_px
    assert found is not None
    assert found.shape == (side, side)
    np.testing.assert_array_equal(activation_maps(packaged, [image])[0], found)
