"""Weights to start from: where they come from, and which stages they fill."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn

from cxrscreen.config import NetworkConfig, ResNet50Config
from cxrscreen.errors import ConfigError
from cxrscreen.model.network import stage_of
from cxrscreen.training.published import PUBLISHED_RESNET50, PublishedFile, fetched

#: The value of ``pretrained`` that stands for the published weights.
IMAGENET = "imagenet"
_SAFETENSORS = ".safetensors"
_PICKLES = (".pth", ".pt")
#: The head of the published networks, for a thousand classes of photographs.
_PUBLISHED_HEAD = "fc."
#: Counts batches, and nothing here reads it: files older than the counter, or made by other
#: libraries, lack it.
_COUNTER = "num_batches_tracked"
_FILE_HINT = "Give a state dict of this network as .safetensors or .pth, whole or by stages."


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights that a network starts from.

    Attributes
    ----------
    source
        Name of the file without its folder, or ``imagenet``.
    sha256
        Of the file.
    filled
        Stages that took all of their weights from it, from the image to the logit.
    fresh
        The other stages.
    """

    source: str
    sha256: str
    filled: tuple[str, ...]
    fresh: tuple[str, ...]

    def sentence(self) -> str:
        """Say which stages were filled and which start fresh."""
        if not self.fresh:
            return f"{self.source} fills every stage: {', '.join(self.filled)}"
        verb = "starts" if len(self.fresh) == 1 else "start"
        return f"{self.source} fills {', '.join(self.filled)}; {', '.join(self.fresh)} {verb} fresh"


def load_pretrained(
    network: nn.Module,
    config: NetworkConfig,
    pretrained: str,
    *,
    published: PublishedFile = PUBLISHED_RESNET50,
    cache: Path | None = None,
) -> Pretrained:
    """Fill the stages of a network with pretrained weights.

    Parameters
    ----------
    network
        As :func:`~cxrscreen.model.network.build_network` made it from ``config``. Unless all
        goes well, it is left as it is.
    config
        Of the network.
    pretrained
        ``imagenet``, or the path of a state dict: ``.safetensors``, or ``.pth`` or ``.pt``, of
        which nothing but tensors is unpickled. It holds all stages or some of them, each as a
        whole. Numbers of another precision are converted.
    published
        What ``imagenet`` stands for.
    cache
        Folder of downloads; :func:`~cxrscreen.training.published.cache_folder` if ``None``.

    Raises
    ------
    ConfigError
        The weights are not there and cannot be fetched, or do not fit the network.
    """
    if pretrained == IMAGENET:
        if not isinstance(config, ResNet50Config):
            message = f"pretrained: imagenet is for a resnet50, not for a {config.architecture}"
            raise ConfigError(message, hint="Leave it out, or give a file with its weights.")
        path, source = fetched(published, cache), IMAGENET
    else:
        path = Path(pretrained).expanduser()
        source = path.name
    content = _content(path)
    weights = _state_dict(content, path)
    filled = _fill(network, config, weights, path)
    return Pretrained(
        source=source,
        sha256=hashlib.sha256(content).hexdigest(),
        filled=filled,
        fresh=tuple(stage for stage in config.stages if stage not in filled),
    )


def _content(path: Path) -> bytes:
    try:
        # Reading a pipe could block for ever.
        if path.exists() and not path.is_file():
            message = f"{path}: is no regular file"
            raise ConfigError(message, hint=_FILE_HINT)
        return path.read_bytes()
    except OSError as error:
        message = f"pretrained weights {path}: {error.strerror or 'cannot be read'}"
        raise ConfigError(message, hint=_FILE_HINT) from error


def _state_dict(content: bytes, path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by name."""
    suffix = path.suffix.lower()
    if suffix == _SAFETENSORS:
        try:
            return safetensors.torch.load(content)
        except (safetensors.SafetensorError, ValueError, KeyError) as error:
            message = f"{path}: is damaged, or no safetensors file"
            raise ConfigError(message, hint=_FILE_HINT) from error
    if suffix not in _PICKLES:
        message = f"{path}: ends neither in .safetensors nor in .pth or .pt"
        raise ConfigError(message, hint=_FILE_HINT)
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # A damaged pickle raises whatever it runs into.
    except Exception as error:
        message = f"{path}: is damaged, or holds more than tensors, which is never unpickled"
        raise ConfigError(message, hint=_FILE_HINT) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not loaded:
        message = f"{path}: holds no state dict"
        raise ConfigError(message, hint=_FILE_HINT)
    for name, value in loaded.items():
        if not isinstance(name, str) or not _holds_numbers(value):
            message = f"{path}: holds no state dict: its entry {name!r} is no plain tensor"
            raise ConfigError(message, hint=_FILE_HINT)
    # What DataParallel puts before every name.
    prefix = "module."
    if all(name.startswith(prefix) for name in loaded):
        return {name.removeprefix(prefix): value for name, value in loaded.items()}
    return dict(loaded)


def _holds_numbers(value: object) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _fill(
    network: nn.Module, config: NetworkConfig, weights: Mapping[str, torch.Tensor], path: Path
) -> tuple[str, ...]:
    """Load weights into the network and return the stages that they fill."""
    target = network.state_dict()
    fitting: dict[str, torch.Tensor] = {}
    head_fits = all(
        name in target and value.shape == target[name].shape
        for name, value in weights.items()
        if name.startswith(_PUBLISHED_HEAD)
    )
    for name, value in weights.items():
        if name.startswith(_PUBLISHED_HEAD) and not head_fits:
            continue
        if name not in target:
            message = f"{path}: a {config.architecture} has no {name}"
            raise ConfigError(message, hint=_FILE_HINT)
        if value.shape != target[name].shape:
            message = (
                f"{path}: {name} has the shape {tuple(value.shape)}, "
                f"that of this network {tuple(target[name].shape)}"
            )
            raise ConfigError(message, hint="These are weights of another network.")
        fitting[name] = _converted(name, value, target[name].dtype, path)
    needed: dict[str, list[str]] = {stage: [] for stage in config.stages}
    for name in target:
        if not name.endswith(_COUNTER):
            needed[stage_of(config, name)].append(name)
    touched = {stage_of(config, name) for name in fitting}
    for stage in config.stages:
        missing = [name for name in needed[stage] if name not in fitting]
        if stage in touched and missing:
            message = (
                f"{path}: holds a part of {stage} only: {missing[0]} is missing"
                f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}"
            )
            raise ConfigError(message, hint="A stage is filled as a whole, or starts fresh.")
    if not touched:
        message = f"{path}: fills no stage of a {config.architecture}"
        raise ConfigError(message, hint=_FILE_HINT)
    network.load_state_dict(fitting, strict=False)
    return tuple(stage for stage in config.stages if stage in touched)


def _converted(name: str, value: torch.Tensor, dtype: torch.dtype, path: Path) -> torch.Tensor:
    if value.is_floating_point() != dtype.is_floating_point:
        message = f"{path}: {name} holds {value.dtype}, this network {dtype}"
        raise ConfigError(message, hint="These are weights of another network.")
    converted = value.to(dtype)
    if not bool(torch.isfinite(converted).all()):
        message = f"{path}: {name} holds numbers that are not finite"
        raise ConfigError(message, hint="The file is damaged, or its training diverged.")
    return converted
