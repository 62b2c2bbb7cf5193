"""The loss: binary cross-entropy of logits, weighted by class, smoothed or focal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from cxrscreen.config import TrainConfig
from cxrscreen.data.dataset import class_weights

EVEN = (1.0, 1.0)
_NEITHER = 0.5


class ClassWeightedLoss(nn.Module):
    """Binary cross-entropy of logits, each image weighted by its class.

    Parameters
    ----------
    weights
        Of a negative and of a positive image.
    label_smoothing
        Share ``s`` of the certainty of a label that is given up: 1 becomes ``1 - s / 2`` and 0
        becomes ``s / 2`` (Szegedy et al., "Rethinking the Inception architecture", 2016).
    focal_gamma
        Exponent of ``(1 - p) ** gamma``, ``p`` the probability of the true class, by which
        images that are judged well already count less; 0 for none (Lin et al., "Focal loss
        for dense object detection", 2017).
    """

    weights: torch.Tensor

    def __init__(
        self,
        weights: tuple[float, float],
        *,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma

    def forward(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean weighted loss of ``[N, 1]`` logits and ``[N, 1]`` labels, 0 to 1.

        A label between the classes, of an image that is of neither or of both, has a weight
        between theirs.
        """
        weight = torch.lerp(self.weights[0], self.weights[1], labels)
        if self.focal_gamma:
            # 1 - p of the true class, without the rounding of 1 - sigmoid for certain logits.
            missing = torch.sigmoid(torch.where(labels > _NEITHER, -logits, logits))
            weight = weight * missing**self.focal_gamma
        targets = labels * (1.0 - self.label_smoothing) + self.label_smoothing / 2
        # Weighted here: torch's own weight takes no gradient, and the focal one has one.
        terms = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return (weight * terms).mean()


def loss_weights(config: TrainConfig, labels: Sequence[int]) -> tuple[float, float]:
    """Return the weight of a negative and of a positive image that a configuration asks for.

    Parameters
    ----------
    config
        ``class_weights`` gives them, or says that the training part does.
    labels
        Of the training part.

    Raises
    ------
    DatasetError
        A class has no image.
    """
    if config.class_weights == "none":
        return EVEN
    if config.class_weights == "balanced":
        # Drawn equally often, the classes weigh the same already.
        return EVEN if config.balanced_sampling else class_weights(labels)
    return config.class_weights


def build_loss(config: TrainConfig, weights: tuple[float, float]) -> ClassWeightedLoss:
    """Return the loss that a configuration describes."""
    return ClassWeightedLoss(
        weights,
        label_smoothing=config.label_smoothing,
        focal_gamma=config.focal_gamma if config.loss == "focal" else 0.0,
    )
