"""``--set key=value``: change single values of a configuration before it is checked."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import yaml

from cxrscreen.errors import ConfigError

_HINT = "Write --set section.key=value, for instance --set train.seed=7."


def overridden(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a configuration with single values replaced.

    Parameters
    ----------
    content
        What the YAML file holds; it is left as it is.
    overrides
        ``key=value`` each. A key is dotted, and a number counts an entry of a list from
        zero: ``train.phases.0.epochs=2``. A value is YAML.

    Raises
    ------
    ConfigError
        An override has no ``=``, no valid YAML, or goes through something that holds no keys.
        Whether the key exists is for the schema to say.
    """
    changed = deepcopy(content)
    for override in overrides:
        key, separator, text = override.partition("=")
        parts = key.strip().split(".")
        if not separator or not all(parts):
            message = f"--set {override}: is not KEY=VALUE"
            raise ConfigError(message, hint=_HINT)
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            message = f"--set {override}: the value is not valid YAML"
            raise ConfigError(message, hint=_HINT) from error
        _assign(changed, parts, value, override)
    return changed


def _assign(content: dict[str, Any], parts: list[str], value: Any, override: str) -> None:  # noqa: ANN401 - whatever YAML holds
    place: Any = content
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(place, list):
            if not part.isdecimal() or int(part) >= len(place):
                message = f"--set {override}: {'.'.join(parts[:depth])} has {len(place)} entries"
                raise ConfigError(message, hint="They are counted from 0.")
            key: Any = int(part)
        elif isinstance(place, dict):
            key = part
            if not last and place.get(part) is None:
                # A section that the file leaves to its defaults.
                place[part] = {}
        else:
            message = f"--set {override}: {'.'.join(parts[:depth])} holds no keys"
            raise ConfigError(message, hint=_HINT)
        if last:
            place[key] = value
        else:
            place = place[key]
