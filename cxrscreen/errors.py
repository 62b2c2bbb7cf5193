"""Named errors: what went wrong, what to do about it, and the exit code it ends with.

Errors of the run (:class:`CxrScreenError`) stop it and are turned into one line in
``cli/app.py``. The error of one image (:class:`ImageRefusedError`) never stops a run: it
becomes the row of that image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from cxrscreen.vocabulary import RejectCode


def printable(text: str) -> str:
    """Return text that is safe for a terminal: a path may hold control characters."""
    readable = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in readable)


class CxrScreenError(Exception):
    """Base of every error that stops a run.

    Parameters
    ----------
    message
        What is wrong and where. Never holds what a header says about a person.
    hint
        What the user can do about it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def one_line(self) -> str:
        """Return message and hint as a single line."""
        text = f"{self.message.rstrip('.')}. {self.hint}" if self.hint else self.message
        return printable(" ".join(text.split()))


class UsageError(CxrScreenError):
    """Options or arguments of a command that do not go together."""


class InputNotFoundError(CxrScreenError):
    """A path given by the user is not there or cannot be looked into."""


class NothingToScreenError(CxrScreenError):
    """The given paths hold no file at all."""

    exit_code: ClassVar[int] = 4


class OutputError(CxrScreenError):
    """An output exists already or cannot be written."""


class InputLostError(CxrScreenError):
    """The folder or share that the inputs lie in has gone away during a run."""


class JournalError(CxrScreenError):
    """A journal is of another run, or another process holds it."""


class UnusableJournalError(JournalError):
    """A journal is damaged, or of another version."""


class ConfigError(CxrScreenError):
    """A configuration file does not parse or says something impossible."""


class BundleError(CxrScreenError):
    """A model bundle is missing, damaged or of another schema."""


class FingerprintMismatchError(BundleError):
    """An operating point belongs to another model, preprocessing or engine."""


class EngineError(CxrScreenError):
    """An engine is not installed, or cannot run on the device that was asked for."""


class QuantizationError(CxrScreenError):
    """An int8 model is too unlike the model that it was made from."""


class DatasetError(CxrScreenError):
    """A labelled data set cannot be trained on as it is."""


class CheckpointError(CxrScreenError):
    """An unfinished run is of another configuration, or its checkpoint is damaged."""


class MetricError(CxrScreenError):
    """A metric is undefined for the given labels and scores."""


class CalibrationError(CxrScreenError):
    """The calibration data cannot support what is asked of them, or a calibration is damaged."""


class PredictionsError(CxrScreenError):
    """A file of predictions or a report has been changed, shuffled or joined wrongly."""


class PseudonymKeyError(CxrScreenError):
    """The key of pseudonyms cannot be read or made, or is not kept secret."""


class UnscreenedError(CxrScreenError):
    """An image is ``NOT_SCREENED``, and the user wants none to be."""

    exit_code: ClassVar[int] = 3


class WorkerError(CxrScreenError):
    """The processes that examine images cannot be started."""

    exit_code: ClassVar[int] = 1


class TrainingError(CxrScreenError):
    """Training cannot go on (for example a loss that is not finite)."""

    exit_code: ClassVar[int] = 1


class ImageRefusedError(Exception):
    """One image could not be read or may not be judged.

    Parameters
    ----------
    code
        The reject code of the image's row.
    reason
        One sentence for the report: what was found. Never patient data.
    """

    def __init__(self, code: RejectCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
