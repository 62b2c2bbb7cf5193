"""A network as stages: which are frozen, and how fast the others learn."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cxrscreen.config import NetworkConfig, ScratchCNNConfig
from cxrscreen.config.network import HEAD

#: Modules of a :class:`ScratchCNN` stage beside its convolutions: a pooling.
_POOLINGS = 1
#: Convolution, batch norm, ReLU.
_MODULES_PER_CONVOLUTION = 3


class FreezableNetwork(nn.Module):
    """A network whose frozen batch norms stay frozen.

    A batch norm in training mode moves its running statistics and normalises by its batch,
    whether its parameters learn or not. Every epoch begins with ``train()``, which would set
    it so again.
    """

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's signature
        """Set the mode of all modules but of the batch norms whose parameters do not learn."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm) and not module.weight.requires_grad:
                module.eval()
        return self


def stage_of(config: NetworkConfig, name: str) -> str:
    """Return the stage that a parameter or buffer belongs to.

    Parameters
    ----------
    config
        Of the network.
    name
        Its key in the state dict.

    Returns
    -------
    str
        One of ``config.stages``.

    Raises
    ------
    ValueError
        The network has no stage with such a name.
    """
    first, _, rest = name.partition(".")
    if isinstance(config, ScratchCNNConfig):
        index = rest.partition(".")[0]
        if first == "features" and index.isdecimal():
            stage = _scratch_stage(config, int(index))
        else:
            stage = first
    else:
        stage = {"conv1": "stem", "bn1": "stem", "fc": HEAD}.get(first, first)
    if stage not in config.stages:
        message = f"{name}: belongs to no stage of a {config.architecture}"
        raise ValueError(message)
    return stage


def freeze(network: nn.Module, config: NetworkConfig, stages: Collection[str]) -> None:
    """Keep stages from learning: no gradients, and batch norms that keep their statistics.

    Stages that are frozen already stay so.

    Parameters
    ----------
    network
        As :func:`~cxrscreen.model.network.build_network` made it from ``config``.
    config
        Of the network.
    stages
        Names out of ``config.stages``.

    Raises
    ------
    ValueError
        A name is none of them.
    """
    _set_learning(network, config, stages, learning=False)


def unfreeze(network: nn.Module, config: NetworkConfig, stages: Collection[str]) -> None:
    """Undo :func:`freeze` for stages.

    Raises
    ------
    ValueError
        As :func:`freeze`.
    """
    _set_learning(network, config, stages, learning=True)


def parameter_groups(
    network: nn.Module,
    config: NetworkConfig,
    *,
    learning_rate: float,
    stage_factor: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """Return the parameters that learn, as groups for an optimiser.

    Parameters
    ----------
    network
        Frozen as it shall be trained.
    config
        Of the network.
    learning_rate
        Of the head.
    stage_factor
        Each stage before it learns at this multiple of the rate of the stage behind it
        (Howard and Ruder, "Universal language model fine-tuning", 2018), frozen ones counted.
    weight_decay
        Of weights. Biases and batch norms have none: pulling those towards zero does not
        make a function simpler.

    Returns
    -------
    list of dict
        From the image to the logit, of each stage first what decays: ``params``, ``lr``,
        ``weight_decay`` and the name of the ``stage``. No group is empty.
    """
    decaying: dict[str, list[nn.Parameter]] = {stage: [] for stage in config.stages}
    others: dict[str, list[nn.Parameter]] = {stage: [] for stage in config.stages}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            # Biases and the parameters of batch norms are the vectors of a network.
            group = decaying if parameter.dim() > 1 else others
            group[stage_of(config, name)].append(parameter)
    groups: list[dict[str, Any]] = []
    for depth, stage in enumerate(reversed(config.stages)):
        rate = learning_rate * stage_factor**depth
        groups += [
            {"params": parameters, "lr": rate, "weight_decay": decay, "stage": stage}
            for parameters, decay in ((others[stage], 0.0), (decaying[stage], weight_decay))
            if parameters
        ]
    return groups[::-1]


def _set_learning(
    network: nn.Module, config: NetworkConfig, stages: Collection[str], *, learning: bool
) -> None:
    unknown = sorted(set(stages) - set(config.stages))
    if unknown:
        message = f"{unknown[0]}: a {config.architecture} has {', '.join(config.stages)}"
        raise ValueError(message)
    for name, parameter in network.named_parameters():
        if stage_of(config, name) in stages:
            parameter.requires_grad_(learning)
            if not learning:
                # AdamW would move it by the momentum of an earlier phase.
                parameter.grad = None
    network.train(network.training)


def _scratch_stage(config: ScratchCNNConfig, index: int) -> str:
    """Return the stage of an entry of ``features``, which is one flat sequence."""
    first = _MODULES_PER_CONVOLUTION + _POOLINGS
    if index < first:
        return "stage1"
    others = config.convolutions_per_stage * _MODULES_PER_CONVOLUTION + _POOLINGS
    return f"stage{2 + (index - first) // others}"
