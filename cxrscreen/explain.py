"""What a logit rests on: class-activation maps."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cxrscreen.config import NetworkConfig
from cxrscreen.model.bundle import ModelBundle
from cxrscreen.model.network import lay_out, stage_of

#: The method, as captions name it.
METHOD: Final = "Grad-CAM++"
_NETWORK: Final = "network"

#: float32 ``[S, S]`` from 0 to 1, or ``None`` where nothing speaks for the disease.
ActivationMap = NDArray[np.float32] | None


def activation_map(
    bundle: ModelBundle, image: torch.Tensor, *, device: torch.device | None = None
) -> ActivationMap:
    """Return where in an image the evidence for the disease lies, as the network sees it.

    See :func:`network_maps`, which this calls for one image.

    Parameters
    ----------
    bundle
        The model. It is left as it is.
    image
        ``[C, S, S]`` as :func:`cxrscreen.preprocess.to_tensor` makes it with ``bundle.spec``.
    device
        Where to compute; where the network is, if ``None``.

    Returns
    -------
    ndarray or None
        float32 ``[S, S]`` from 0 to 1.
    """
    return activation_maps(bundle, [image], device=device)[0]


def activation_maps(
    bundle: ModelBundle, images: Sequence[torch.Tensor], *, device: torch.device | None = None
) -> tuple[ActivationMap, ...]:
    """Return the map of each image; see :func:`activation_map`.

    Parameters
    ----------
    bundle
        The model. It is left as it is.
    images
        Each ``[C, S, S]``.
    device
        Where to compute; where the network is, if ``None``.

    Returns
    -------
    tuple
        A map or ``None`` for each image.
    """
    return network_maps(bundle.network, bundle.document.network, images, device=device)


def network_maps(
    network: nn.Module,
    config: NetworkConfig,
    images: Sequence[torch.Tensor],
    *,
    device: torch.device | None = None,
) -> tuple[ActivationMap, ...]:
    """Return Grad-CAM++ maps of the last convolutions of a network.

    Chattopadhay et al., "Grad-CAM++: Generalized gradient-based visual explanations for deep
    convolutional networks", WACV 2018, as MONAI has it. Only evidence that raises the logit is
    shown. Each map is divided by its largest value: colours compare places within an image,
    and say nothing between images.

    Parameters
    ----------
    network
        With one logit; it is left as it is.
    config
        Of the network.
    images
        Each ``[C, S, S]``, as the network takes it.
    device
        Where to compute; where the network is, if ``None``.

    Returns
    -------
    tuple
        For each image float32 ``[S, S]`` from 0 to 1, with a 1 at its strongest place, or
        ``None`` where no activation raises the logit: there is no map to show then.
    """
    if not images:
        return ()
    explainer = Explainer(network, config, device=device)
    return tuple(explainer(image) for image in images)


class Explainer:
    """Maps the images of one network, one by one: no map depends on what is mapped beside it.

    Parameters
    ----------
    network, config, device
        As in :func:`network_maps`.
    """

    def __init__(
        self, network: nn.Module, config: NetworkConfig, *, device: torch.device | None = None
    ) -> None:
        # Importing MONAI takes seconds: only who wants maps shall pay.
        from monai.visualize.class_activation_maps import GradCAMpp  # noqa: PLC0415

        self._device = device or next(network.parameters()).device
        # A copy, because MONAI leaves hooks in the network that it explains.
        explained = copy.deepcopy(network).to(self._device).eval()
        explained.requires_grad_(requires_grad=False)
        # MONAI takes views of gradients, which weights laid out channels last do not allow.
        lay_out(explained, torch.contiguous_format)
        self._explain = GradCAMpp(
            _RelativeLogit(explained),
            target_layers=f"{_NETWORK}.{explained_layer(network, config)}",
            postprocessing=_unchanged,
        )

    def __call__(self, image: torch.Tensor) -> ActivationMap:
        """Return the map of ``[C, S, S]``, as :func:`network_maps` does."""
        return _scaled(self._explain(_input(image, self._device), class_idx=0))


def explained_layer(network: nn.Module, config: NetworkConfig) -> str:
    """Return the layer whose activations are mapped: what the last convolutions gave.

    The last stage before the head is the deepest one that still has places. Of the ResNet50 it
    is ``layer4``, of the scratch CNN the last ReLU before the last pooling.

    Parameters
    ----------
    network
        As :func:`~cxrscreen.model.network.build_network` made it from ``config``.
    config
        Of the network.

    Returns
    -------
    str
        Its name in ``network``.
    """
    last: str = config.stages[-2]
    modules = dict(network.named_modules())
    if last in modules:
        return last
    activations: list[str] = [
        name
        for name, module in modules.items()
        if isinstance(module, nn.ReLU) and stage_of(config, name) == last
    ]
    return activations[-1]


class _RelativeLogit(nn.Module):
    """A network whose logit is 0, with the gradients of the logit.

    Grad-CAM++ multiplies by exp(logit), the same factor all over the map. Of a very sure
    network it would be 0 or infinite.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``[N, 1]`` zeros that depend on ``[N, C, S, S]``."""
        logits: torch.Tensor = self.network(images)
        return logits - logits.detach()


def _input(image: torch.Tensor, device: torch.device) -> torch.Tensor:
    # Gradients begin at the image, so that they reach stages that were frozen, too.
    return image.detach()[None].to(device).clone().requires_grad_()


def _unchanged(activations: torch.Tensor) -> torch.Tensor:
    return activations


def _scaled(activations: torch.Tensor) -> ActivationMap:
    values = activations.detach()[0, 0].to("cpu", torch.float64)
    peak = float(values.max())
    # Not finite if the weights or the image were so: there is nothing to see either.
    if not 0.0 < peak < float("inf"):
        return None
    scaled: NDArray[np.float32] = (values / peak).clamp(0.0, 1.0).to(torch.float32).numpy()
    return scaled
