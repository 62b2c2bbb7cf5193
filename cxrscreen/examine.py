"""One input, from where it lies to what the network sees: open, admit, read, admit, resize.

This is what runs in a worker process (``workers/``): hostile bytes are met here and nowhere
else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrscreen import admission, intake
from cxrscreen.admission.faults import refusal_of
from cxrscreen.display import for_display
from cxrscreen.preprocess import PreprocessSpec, resize
from cxrscreen.records import (
    Admission,
    DisplayImage,
    ImageRecord,
    Input,
    IntendedUse,
    Permissions,
    PixelImage,
    Source,
)
from cxrscreen.vocabulary import RejectCode, SourceKind

#: Frames of one object that are judged. A cine loop is no radiograph.
MAX_FRAMES = 512
_DIGEST_BYTES = 16
# With twice the pixels of the network's input on each side, a lower resolution is none to it.
_OVERSAMPLING = 2
# So many does the frontal check look at.
_ENOUGH_FOR_ADMISSION = 448


@dataclass(frozen=True, slots=True)
class ExamineSettings:
    """What an examination depends on beside the image.

    Attributes
    ----------
    spec
        The deterministic transform.
    intended_use
        Whom the model may judge.
    permissions
        What the user asked to have judged all the same.
    display_px
        Of an admitted image, keep a picture whose longer side is at most this; none if 0.
    headers_only
        Whether to stop where pixels would be read: an image that is admitted has none then.
    """

    spec: PreprocessSpec
    intended_use: IntendedUse
    permissions: Permissions
    display_px: int = 0
    headers_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """An image on its way: with pixels if it was admitted, without if it was refused.

    Attributes
    ----------
    record
        What it says about itself.
    admission
        Whether it may be judged.
    pixels
        float32 ``[size_px, size_px]`` in 0..1, resized and not yet normalised.
    seconds
        Time that it took.
    shape
        Rows and columns of the radiograph before it was resized.
    display
        A picture of it, where the settings ask for one.
    """

    record: ImageRecord
    admission: Admission
    pixels: NDArray[np.float32] | None
    seconds: float
    shape: tuple[int, int] | None = None
    display: DisplayImage | None = None

    def digest(self) -> bytes:
        """Return the BLAKE2b hash of what the network sees; empty if it sees nothing."""
        if self.pixels is None:
            return b""
        return hashlib.blake2b(
            np.ascontiguousarray(self.pixels).tobytes(), digest_size=_DIGEST_BYTES
        ).digest()


def examine(
    item: Input,
    settings: ExamineSettings,
    on_header: Callable[[ImageRecord], object] | None = None,
) -> Iterator[Examined]:
    """Read, admit and resize every image of an input.

    Raises nothing: an error becomes a refusal.

    Parameters
    ----------
    item
        The input.
    settings
        What to admit, and how to resize.
    on_header
        Called with the header before any pixel is read: the row of an image that its decoder
        dies of can still say which image it was.

    Yields
    ------
    Examined
        One, or one for each frame of a multi-frame object.
    """
    started = time.perf_counter()
    record = ImageRecord(source=item.source, kind=SourceKind.OTHER)
    if item.refusal is not None:
        yield Examined(record, item.refusal, None, time.perf_counter() - started)
        return
    try:
        opened = intake.open_image(item.source)
        record = opened.record
        if on_header is not None:
            on_header(record)
        admitted = admission.admit_header(record, settings.intended_use, settings.permissions)
    except Exception as error:  # noqa: BLE001 - one image never stops a run
        yield Examined(record, refusal_of(error), None, time.perf_counter() - started)
        return
    if opened.frames > MAX_FRAMES and admitted.admitted:
        reason = f"the object holds {opened.frames} frames, more than {MAX_FRAMES}"
        admitted = Admission.refuse(RejectCode.TOO_LARGE, reason)
    for frame in range(opened.frames):
        yield _frame(opened, frame, admitted, settings, started)
        started = time.perf_counter()


def _frame(
    opened: intake.OpenedImage,
    frame: int,
    admitted: Admission,
    settings: ExamineSettings,
    started: float,
) -> Examined:
    record, pixels = opened.record, None
    shape: tuple[int, int] | None = None
    display: DisplayImage | None = None
    if opened.frames > 1:
        source: Source = dataclasses.replace(record.source, frame=frame + 1)
        record = dataclasses.replace(record, source=source)
    if admitted.admitted and not settings.headers_only:
        try:
            image, admitted = _read(opened, frame, admitted, settings.spec)
            if admitted.admitted:
                shape = image.whole_shape or (image.pixels.shape[0], image.pixels.shape[1])
                if settings.display_px:
                    # People look at all of its pixels, but what is judged stays the same.
                    whole = opened.read_frame(frame) if image.whole_shape else image
                    display = for_display(whole, record, longest_px=settings.display_px)
                pixels = resize(image.pixels, settings.spec)[0].numpy()
        except Exception as error:  # noqa: BLE001 - one image never stops a run
            admitted, pixels, display = refusal_of(error), None, None
    return Examined(record, admitted, pixels, time.perf_counter() - started, shape, display)


def _read(
    opened: intake.OpenedImage, frame: int, by_header: Admission, spec: PreprocessSpec
) -> tuple[PixelImage, Admission]:
    """Return a frame with as many pixels as the network needs, and whether it is admitted."""
    enough = max(_OVERSAMPLING * spec.size_px, _ENOUGH_FOR_ADMISSION)
    image = opened.read_frame(frame, enough_px=enough)
    admitted = admission.admit_pixels(image, by_header)
    if image.whole_shape and not admitted.admitted:
        # What is refused is refused for all of its pixels.
        image = opened.read_frame(frame)
        admitted = admission.admit_pixels(image, by_header)
    return image, admitted
