"""What the audit keeps of each image: numbers, and a thumbnail of 1 kB."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cxrscreen.errors import ImageRefusedError
from cxrscreen.intake import open_image
from cxrscreen.intake.encoding import Encoding, encoding_of
from cxrscreen.records import Source

#: Side of the square on which sharpness and grey levels are measured: what networks see.
SIDE_PX: Final = 224
#: Side of the thumbnail by which duplicates are found.
THUMBNAIL_PX: Final = 32
#: Of a square of so many pixels, the outer ones are the border: 2 of 25 are 8% of the side.
BORDER_SIDE_PX, BORDER_PX = 25, 2
_CHUNK: Final = 32
_AHEAD: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What the audit keeps of one image.

    Attributes
    ----------
    sha256
        Of the file, hexadecimal.
    size_bytes
        Of the file.
    width_px, height_px
        Of the radiograph as it is shown: upright, with square pixels.
    encoding
        How the file stores it.
    sharpness
        Standard deviation of the Laplacian (four neighbours) of the image at 224 x 224.
    mean, contrast, p5, p95
        Of the same, in 0..1: mean, standard deviation, 5th and 95th percentile.
    thumbnail
        uint8 ``[32, 32]``.
    border
        uint8 ``[184]``: the outer two pixels of the image at 25 x 25.
    """

    sha256: str
    size_bytes: int
    width_px: int
    height_px: int
    encoding: Encoding
    sharpness: float
    mean: float
    contrast: float
    p5: float
    p95: float
    thumbnail: NDArray[np.uint8]
    border: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image of which nothing can be measured, and why."""

    reason: str


def measure(path: Path) -> Measurement | Unreadable:
    """Measure one image; whatever its file provokes is the result."""
    try:
        opened = open_image(Source(path))
        pixels = opened.read_pixels().pixels
        encoding = encoding_of(opened)
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size_bytes = path.stat().st_size
    except ImageRefusedError as error:
        return Unreadable(f"{error.code.value}: {error.reason}")
    except OSError as error:
        return Unreadable(f"cannot be opened: {error.strerror or type(error).__name__}")
    except Exception as error:  # noqa: BLE001 - one image must not end the audit of the others
        return Unreadable(f"cannot be read ({type(error).__name__})")
    image = Image.fromarray(pixels)
    square = _resized(image, SIDE_PX)
    p5, p95 = np.percentile(square, (5, 95))
    return Measurement(
        sha256=digest,
        size_bytes=size_bytes,
        width_px=pixels.shape[1],
        height_px=pixels.shape[0],
        encoding=encoding,
        sharpness=sharpness(square),
        mean=float(square.mean()),
        contrast=float(square.std()),
        p5=float(p5),
        p95=float(p95),
        thumbnail=thumbnail(pixels),
        border=_bytes(_frame(_resized(image, BORDER_SIDE_PX))),
    )


def sharpness(pixels: NDArray[np.float32]) -> float:
    """Return the standard deviation of the Laplacian of an image, ``[H, W]`` in 0..1.

    The focus measure of Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy",
    ICPR 2000, as a standard deviation; its inner pixels only.
    """
    inner = pixels[1:-1, 1:-1]
    around = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    return float(np.std(around - 4 * inner))


def thumbnail(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the thumbnail of an image, ``[H, W]`` in 0..1, by which duplicates are found."""
    return _bytes(_resized(Image.fromarray(pixels), THUMBNAIL_PX))


def measure_all(
    paths: Sequence[Path],
    *,
    workers: int = 0,
    on_done: Callable[[int], None] | None = None,
) -> list[Measurement | Unreadable]:
    """Measure images, in order.

    Parameters
    ----------
    paths
        Where they lie.
    workers
        Processes that read them; 0 reads them in this one. One that a decoder brings down
        costs its image, not the audit.
    on_done
        Called with the number of images that were measured since the last call.
    """
    results: list[Measurement | Unreadable] = []
    chunks = [list(paths[at : at + _CHUNK]) for at in range(0, len(paths), _CHUNK)]
    position = 0
    while position < len(chunks):
        if workers == 0:
            results += _measure_chunk(chunks[position])
        else:
            done = _measure_in_pool(chunks[position:], workers, results, on_done)
            position += done
            if position == len(chunks):
                break
            # A process died of one of these.
            results += _one_by_one(chunks[position])
        if on_done is not None:
            on_done(len(chunks[position]))
        position += 1
    return results


def picture(path: Path, side_px: int) -> bytes:
    """Return an image as a small JPEG for a page, its longer side ``side_px``.

    Raises
    ------
    ImageRefusedError
        It cannot be read.
    """
    pixels = open_image(Source(path)).read_pixels().pixels
    height, width = pixels.shape
    scale = side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    stream = BytesIO()
    Image.fromarray(_bytes(np.asarray(image))).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def _resized(image: Image.Image, side: int) -> NDArray[np.float32]:
    # Pillow's bilinear filter widens when it reduces: no aliasing.
    square = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(square, dtype=np.float32), 0, 1)


def _frame(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    outside = np.ones(pixels.shape, dtype=np.bool_)
    outside[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = False
    return pixels[outside]


def _bytes(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _measure_chunk(paths: Sequence[Path]) -> list[Measurement | Unreadable]:
    return [measure(path) for path in paths]


def _measure_in_pool(
    chunks: Sequence[Sequence[Path]],
    workers: int,
    results: list[Measurement | Unreadable],
    on_done: Callable[[int], None] | None,
) -> int:
    """Add the results of chunks until all are done or a process dies; return how many."""
    with _pool(workers) as pool:
        waiting: list[Future[list[Measurement | Unreadable]]] = []
        try:
            for done in range(len(chunks)):
                for chunk in chunks[done + len(waiting) : done + _AHEAD * workers]:
                    waiting.append(pool.submit(_measure_chunk, chunk))  # noqa: PERF401 - it may break
                results += waiting.pop(0).result()
                if on_done is not None:
                    on_done(len(chunks[done]))
        except BrokenProcessPool:
            return done
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(chunks)


def _one_by_one(paths: Sequence[Path]) -> list[Measurement | Unreadable]:
    results: list[Measurement | Unreadable] = []
    while len(results) < len(paths):
        with _pool(1) as pool:
            try:
                while len(results) < len(paths):
                    results.append(pool.submit(measure, paths[len(results)]).result())
            except BrokenProcessPool:
                results.append(Unreadable("the process that read it died"))
    return results


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not forked: threads of numerical libraries do not survive that.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
