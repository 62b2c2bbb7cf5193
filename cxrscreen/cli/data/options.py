"""What the data commands have in common: from their options to a ``DataConfig``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxrscreen.config import DataConfig


class Layout(StrEnum):
    """Values of ``--layout``: those of ``data.layout``, without importing the schema."""

    AUTO = "auto"
    FOLDERS = "folders"
    TABLE = "table"
    KAGGLE = "kaggle"
    RSNA = "rsna"
    NIH = "nih"


def data_config(
    config: Path | None, layout: str | None = None, patient_pattern: str | None = None
) -> DataConfig:
    """Return the ``data:`` section of a training configuration, or its defaults.

    Parameters
    ----------
    config
        The training configuration, or ``None`` for the defaults.
    layout, patient_pattern
        Take the place of what the configuration says, unless they are ``None``.

    Raises
    ------
    ConfigError
        The configuration cannot be read or is invalid.
    UsageError
        An option has an impossible value.
    """
    from cxrscreen.config import DataConfig, load_training_config

    settings = DataConfig() if config is None else load_training_config(config).data
    return changed(settings, layout=layout, patient_pattern=patient_pattern)


def changed(settings: DataConfig, **values: str | float | None) -> DataConfig:
    """Return the settings with the values that are not ``None``.

    Raises
    ------
    UsageError
        A value is impossible.
    """
    from pydantic import ValidationError

    from cxrscreen.config import describe_validation_error
    from cxrscreen.errors import UsageError

    given = {name: value for name, value in values.items() if value is not None}
    try:
        return type(settings).model_validate(settings.model_dump() | given)
    except ValidationError as error:
        message = describe_validation_error(error)
        raise UsageError(message, hint="See --help for what the option takes.") from error
