"""The command that trains a bundle, by the nearest configuration in ``configs/``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from cxrscreen.config import TrainingConfig, load_training_config
from cxrscreen.model.bundle import ModelBundle

ROOT: Final = Path(__file__).resolve().parents[1]
#: Settings that are only told, or that the weights do not hang on.
_WITHOUT_EFFECT: Final = (
    "data.description",
    "intended_use.",
    "train.cache",
    "train.checkpoint_steps",
    "train.loader_workers",
)


def training_commands(bundles: Sequence[ModelBundle]) -> list[str]:
    """Return the commands that train the bundles, by the nearest configuration in ``configs``."""
    known = {
        path.name: _leaves(load_training_config(path).model_dump(mode="json"))
        for path in sorted((ROOT / "configs").glob("*.yaml"))
    }
    commands = []
    for bundle in bundles:
        ours = _leaves(_with_defaults(bundle.document.training.config))
        changed = {
            name: {key: value for key, value in ours.items() if theirs.get(key, "") != value}
            for name, theirs in known.items()
        }
        nearest = min(changed, key=lambda name: len(changed[name]))
        settings = "".join(
            f" \\\n    --set {shlex.quote(f'{key}={json.dumps(value, ensure_ascii=False)}')}"
            for key, value in changed[nearest].items()
            if not key.startswith(_WITHOUT_EFFECT)
        )
        commands.append(
            f"train --config configs/{nearest} --data DATA{settings} \\\n    --out {bundle.name}"
        )
    return commands


def _with_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a bundle with the settings that it is too old to know."""
    try:
        return TrainingConfig.model_validate(config).model_dump(mode="json")
    except ValidationError:
        return config


def _leaves(content: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return the settings of a configuration by their dotted names; lists are one setting."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found
