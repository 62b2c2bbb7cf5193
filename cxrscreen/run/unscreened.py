"""End a run at the first image that is not screened, where the user wants none."""

from __future__ import annotations

from typing import Final

from cxrscreen.errors import UnscreenedError
from cxrscreen.pipeline import ScreenedImage
from cxrscreen.records import RunSummary
from cxrscreen.reports.privacy import Privacy
from cxrscreen.vocabulary import Decision

_HINT: Final = (
    "No report was written. To have one all the same, run the same command with --resume and "
    "without --fail-on-unscreened."
)


class StopAtUnscreened:
    """Told of each image before its row is journalled; raises at one that is not screened.

    Parameters
    ----------
    privacy
        How much of an image messages may tell.
    """

    def __init__(self, privacy: Privacy) -> None:
        self._privacy = privacy

    def __call__(self, _number: int, image: ScreenedImage) -> None:
        """Raise if an image is not screened.

        Raises
        ------
        UnscreenedError
            It is not.
        """
        if image.row.decision is not Decision.NOT_SCREENED:
            return
        row = self._privacy.shown(image.row)
        code = row.admission.code
        why = f"{code.value if code else ''}, {row.admission.reason.rstrip('.')}"
        message = f"{row.record.source}: is NOT_SCREENED: {why}"
        raise UnscreenedError(message, hint=_HINT)


def require_all_screened(summary: RunSummary) -> None:
    """Refuse to go on with a run that has such an image already.

    Raises
    ------
    UnscreenedError
        It has.
    """
    if summary.not_screened:
        message = f"{summary.not_screened} images of the unfinished run are NOT_SCREENED"
        raise UnscreenedError(message, hint=_HINT)
