"""The loss, against its formulas and against MONAI's focal loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses.focal_loss import FocalLoss
from torch.nn import functional

from cxrscreen.config import TrainConfig
from cxrscreen.data.dataset import class_weights
from cxrscreen.training.loss import ClassWeightedLoss, build_loss, loss_weights

PHASES = {"phases": ({"epochs": 1},)}
LOGITS = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=12)


def batch(logits: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.tensor([[float(k % 2)] for k in range(len(logits))])
    return torch.tensor(logits).reshape(-1, 1), labels


def test_class_weighted_loss_by_hand():
    # n / (2 n_c): 1343 and 3875 images give 1.94 and 0.67.
    weights = class_weights([0] * 1343 + [1] * 3875)
    assert weights == pytest.approx((1.94, 0.67), abs=0.005)
    loss = ClassWeightedLoss(weights)
    value = loss(torch.zeros(2, 1), torch.tensor([[0.0], [1.0]]))
    assert float(value) == pytest.approx(sum(weights) / 2 * np.log(2))


@settings(deadline=None)
@given(logits=LOGITS, gamma=st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_focal_loss_equals_monai(logits, gamma):
    predicted, labels = batch(logits)
    ours = ClassWeightedLoss((1.0, 1.0), focal_gamma=gamma)(predicted, labels)
    # Shape [N, 1, 1]: MONAI's wants a spatial dimension.
    theirs = FocalLoss(gamma=gamma)(predicted[..., None], labels[..., None])
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@settings(deadline=None)
@given(logits=LOGITS, smoothing=st.floats(0.0, 0.45))
def test_label_smoothing_by_its_formula(logits, smoothing):
    predicted, labels = batch(logits)
    value = ClassWeightedLoss((1.5, 0.5), label_smoothing=smoothing)(predicted, labels)
    z = predicted[:, 0].double().numpy()
    y = labels[:, 0].double().numpy()
    target = np.where(y > 0, 1 - smoothing / 2, smoothing / 2)
    # -log sigmoid(z) = log(1 + exp(-z))
    terms = target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z)
    expected = np.mean(np.where(y > 0, 0.5, 1.5) * terms)
    assert float(value) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_weights_as_the_configuration_asks():
    labels = [0, 0, 0, 1]
    balanced = TrainConfig.model_validate(PHASES)
    assert loss_weights(balanced, labels) == class_weights(labels)
    drawn = TrainConfig.model_validate({**PHASES, "balanced_sampling": True})
    assert loss_weights(drawn, labels) == (1.0, 1.0)
    none = TrainConfig.model_validate({**PHASES, "class_weights": "none"})
    assert loss_weights(none, labels) == (1.0, 1.0)
    given_ = TrainConfig.model_validate({**PHASES, "class_weights": (2.0, 3.0)})
    assert loss_weights(given_, labels) == (2.0, 3.0)


def test_the_gamma_of_a_loss_that_is_not_focal_is_not_used():
    config = TrainConfig.model_validate({**PHASES, "focal_gamma": 3.0})
    assert build_loss(config, (1.0, 1.0)).focal_gamma == 0.0
    focal = TrainConfig.model_validate({**PHASES, "focal_gamma": 3.0, "loss": "focal"})
    assert build_loss(focal, (1.0, 1.0)).focal_gamma == 3.0


def test_a_label_between_the_classes_weighs_between_them():
    loss = ClassWeightedLoss((2.0, 0.5))
    logits = torch.tensor([[0.7]])
    found = float(loss(logits, torch.tensor([[0.5]])))
    one, zero = (float(functional.softplus(sign * logits)) for sign in (-1, 1))
    assert found == pytest.approx(1.25 * (one + zero) / 2, rel=1e-6)
