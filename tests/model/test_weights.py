from __future__ import annotations

import copy

import pytest
import safetensors
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from cxrscreen.errors import TrainingError
from cxrscreen.model.weights import round_weights, save_weights


@pytest.fixture
def network(packaged) -> nn.Module:
    return copy.deepcopy(packaged.network)


def test_half_precision_is_half_the_size_and_loads_as_it_was_rounded(network, packaged, tmp_path):
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_weights(network, whole)
    round_weights(network, "float16")
    save_weights(network, half, "float16")
    assert half.stat().st_size < 0.52 * whole.stat().st_size
    loaded = copy.deepcopy(packaged.network)
    loaded.load_state_dict(safetensors.torch.load_file(half))
    for name, value in loaded.state_dict().items():
        assert value.dtype == packaged.network.state_dict()[name].dtype
        assert torch.equal(value, network.state_dict()[name]), name
        # Eleven digits of what is multiplied by, all digits of what is added or divided by.
        original = packaged.network.state_dict()[name]
        rtol = 2.0**-11 if value.ndim > 1 else 0.0
        torch.testing.assert_close(value, original, rtol=rtol, atol=2.0**-25 if rtol else 0.0)
    assert not torch.equal(
        next(iter(loaded.parameters())), next(iter(packaged.network.parameters()))
    )


def test_weights_that_were_not_rounded_are_not_saved_as_half(network, tmp_path):
    with pytest.raises(ValueError, match="has not been rounded to float16"):
        save_weights(network, tmp_path / "half.safetensors", "float16")
    assert not list(tmp_path.iterdir())


@given(st.floats(65520.0, 1e30))
def test_a_weight_too_large_for_half_precision_is_named(value):
    network = nn.Linear(2, 2)
    with torch.no_grad():
        network.weight[1, 0] = value
        network.bias[0] = value
    with pytest.raises(TrainingError, match=r"^weight: holds a weight that float16 cannot hold"):
        round_weights(network, "float16")
    with torch.no_grad():
        network.weight[1, 0] = 1.0
    round_weights(network, "float16")
    assert network.bias[0].item() == pytest.approx(value)
