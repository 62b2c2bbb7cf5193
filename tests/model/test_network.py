"""The networks: published names, stages, what freezing keeps still."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cxrscreen.config import NetworkConfig, ResNet50Config, ScratchCNNConfig
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.model.network import (
    ScratchCNN,
    build_network,
    freeze,
    parameter_groups,
    stage_of,
    unfreeze,
)

SMALL = ScratchCNNConfig(
    architecture="scratch_cnn", widths=(4, 8, 8), convolutions_per_stage=2, dense_units=6
)
RESNET = ResNet50Config(architecture="resnet50", dropout=0.5)
BOTH = pytest.mark.parametrize("config", [SMALL, RESNET], ids=lambda config: config.architecture)


def built(config: NetworkConfig) -> nn.Module:
    torch.manual_seed(1)
    return build_network(config, in_channels=3)


def batch(size: int = 64, count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(2))


def published_names() -> list[tuple[str, tuple[int, ...]]]:
    """The published ResNet50 by its rule, with one output in the place of a thousand."""
    names: list[tuple[str, tuple[int, ...]]] = []

    def convolution(name: str, outputs: int, inputs: int, kernel: int) -> None:
        names.append((f"{name}.weight", (outputs, inputs, kernel, kernel)))

    def norm(name: str, channels: int) -> None:
        parts = ("weight", "bias", "running_mean", "running_var")
        names.extend((f"{name}.{part}", (channels,)) for part in parts)
        names.append((f"{name}.num_batches_tracked", ()))

    convolution("conv1", 64, 3, 7)
    norm("bn1", 64)
    inputs = 64
    for layer, (blocks, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), 1):
        for block in range(blocks):
            place = f"layer{layer}.{block}"
            for number, (out, into, kernel) in enumerate(
                ((width, inputs, 1), (width, width, 3), (4 * width, width, 1)), 1
            ):
                convolution(f"{place}.conv{number}", out, into, kernel)
                norm(f"{place}.bn{number}", out)
            if block == 0:
                convolution(f"{place}.downsample.0", 4 * width, inputs, 1)
                norm(f"{place}.downsample.1", 4 * width)
            inputs = 4 * width
    return [*names, ("fc.weight", (1, 2048)), ("fc.bias", (1,))]


def test_the_resnet50_has_the_published_names_shapes_and_order():
    state = built(RESNET).state_dict()
    ours = [(name, tuple(value.shape)) for name, value in state.items()]
    assert len(ours) == 320
    assert ours == published_names()


def test_the_reducing_blocks_stride_in_their_3x3_convolution():
    # With the stride in the 1x1 convolution the published weights would mean something else.
    block = built(RESNET).get_submodule("layer2.0")
    assert isinstance(block.conv2, nn.Conv2d)
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))


@BOTH
@pytest.mark.parametrize("size", [32, 96])
def test_one_logit_for_each_image(config, size):
    network = built(config).eval()
    with torch.inference_mode():
        assert network(batch(size, 2)).shape == (2, 1)


@BOTH
def test_convolutions_lie_channels_last(config):
    for parameter in built(config).parameters():
        if parameter.dim() == 4:
            assert parameter.is_contiguous(memory_format=torch.channels_last)


def test_dropout_drops_in_training_only():
    network = built(RESNET)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    images = batch(32, 2)
    with torch.inference_mode():
        first, second = network(images), network(images)
        assert not torch.equal(first, second)
        network.eval()
        torch.testing.assert_close(network(images), network(images), rtol=0, atol=0)


def test_the_packaged_bundle_still_loads(packaged: ModelBundle):
    assert isinstance(packaged.network, ScratchCNN)
    assert packaged.network.state_dict()["features.0.weight"].shape[0] == 32


def test_the_scratch_cnn_does_not_import_monai():
    code = (
        'import sys, cxrscreen; cxrscreen.load_bundle("cnn-pediatric");'
        "sys.exit(any(name.split('.')[0] == 'monai' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@BOTH
def test_every_tensor_has_a_stage_and_every_stage_a_tensor(config):
    stages = [stage_of(config, name) for name in built(config).state_dict()]
    # From the image to the logit, without going back.
    assert list(dict.fromkeys(stages)) == list(config.stages)
    assert [config.stages.index(stage) for stage in stages] == sorted(
        config.stages.index(stage) for stage in stages
    )


@given(widths=st.lists(st.integers(1, 3), min_size=1, max_size=5), count=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_a_stage_of_the_scratch_cnn_ends_with_its_pooling(widths, count):
    config = ScratchCNNConfig(
        architecture="scratch_cnn", widths=tuple(widths), convolutions_per_stage=count
    )
    features = build_network(config, in_channels=1).get_submodule("features")
    number = 1
    for index, module in enumerate(features.children()):
        assert stage_of(config, f"features.{index}.weight") == f"stage{number}"
        number += isinstance(module, nn.MaxPool2d)
    assert number == len(widths) + 1


@pytest.mark.parametrize("name", ["", "layer5.0.conv1.weight", "features", "features.x", "stage9"])
@BOTH
def test_a_name_of_no_stage_is_refused(config, name):
    with pytest.raises(ValueError, match="no stage"):
        stage_of(config, name)
    with pytest.raises(ValueError, match="has st"):
        freeze(built(SMALL), SMALL, ["layer9"])


def step(network: nn.Module, config: NetworkConfig) -> None:
    groups = parameter_groups(
        network, config, learning_rate=0.1, stage_factor=1.0, weight_decay=0.5
    )
    optimizer = torch.optim.AdamW(groups)
    network.train()
    network(batch()).square().mean().backward()
    optimizer.step()


@BOTH
def test_frozen_stages_keep_every_bit_and_the_others_learn(config):
    network = built(config)
    frozen = config.stages[:2]
    freeze(network, config, frozen)
    before = copy.deepcopy(network.state_dict())
    step(network, config)
    after = network.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {stage_of(config, name) for name in moved} == set(config.stages[2:])
    assert any("running_mean" in name for name in moved)


@BOTH
def test_the_frozen_beginning_builds_no_graph(config):
    network = built(config)
    freeze(network, config, config.stages[:-1])
    network.train()
    last = "features" if isinstance(config, ScratchCNNConfig) else "layer4"
    seen: list[bool] = []
    network.get_submodule(last).register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.requires_grad)
    )
    assert network(batch()).requires_grad
    assert seen == [False]


@BOTH
def test_freezing_survives_a_copy_and_ends_with_unfreeze(config):
    network = built(config)
    freeze(network, config, config.stages[:2])
    twin = copy.deepcopy(network)
    for one in (network.eval(), network.train(), twin.train()):
        norms = {
            name: module.training
            for name, module in one.named_modules()
            if isinstance(module, nn.BatchNorm2d)
        }
        for name, training in norms.items():
            assert training == (stage_of(config, f"{name}.weight") not in config.stages[:2]), name
    unfreeze(network, config, config.stages[:1])
    learning = {stage_of(config, n) for n, p in network.named_parameters() if p.requires_grad}
    assert learning == {config.stages[0], *config.stages[2:]}
    unfreeze(network, config, config.stages)
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


@BOTH
def test_freezing_does_not_put_a_network_in_training_mode(config):
    network = built(config).eval()
    freeze(network, config, config.stages[:1])
    unfreeze(network, config, config.stages[:1])
    assert not any(module.training for module in network.modules())


@BOTH
def test_each_stage_learns_at_a_multiple_of_the_one_behind_it(config):
    network = built(config)
    freeze(network, config, config.stages[:1])
    groups = parameter_groups(
        network, config, learning_rate=1e-3, stage_factor=0.5, weight_decay=0.01
    )
    rates = {group["stage"]: group["lr"] for group in groups}
    assert list(rates) == list(config.stages[1:])
    for depth, stage in enumerate(reversed(config.stages[1:])):
        assert rates[stage] == pytest.approx(1e-3 * 0.5**depth)
    # Every parameter that learns is in one group, and nothing else is.
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    grouped = [names[id(parameter)] for group in groups for parameter in group["params"]]
    learning = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert sorted(grouped) == sorted(learning)
    for group in groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert stage_of(config, name) == group["stage"]
            owner = network.get_submodule(name.rpartition(".")[0])
            decays = name.endswith("weight") and not isinstance(owner, nn.BatchNorm2d)
            assert group["weight_decay"] == (0.01 if decays else 0.0), name
    assert len(torch.optim.AdamW(groups).param_groups) == len(groups)
