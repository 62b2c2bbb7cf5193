"""Images that are there more than once: the same bytes, or the same picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

#: Correlation from which two pictures are one. On the 5,216 images of the pediatric training
#: set, equal files aside, the closest two reach 0.906, and the closest two of one patient 0.796.
#: A copy of 150 of them reaches at least 0.974 as a JPEG of quality 10 to 75, at half or a third
#: of the size, with a gamma of 0.75 or 1.3, with 80% of the contrast, or blurred by 2 pixels:
#: tools/measure_copies.py.
SAME_PICTURE: Final = 0.95
_NEIGHBOURHOOD_PX: Final = 5
_BLOCK: Final = 2048
#: More pairs than this are not listed: thousands of empty images resemble one another.
MAX_PAIRS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images by position, the first before the second, and how their pictures correlate."""

    first: int
    second: int
    correlation: float


@dataclass(frozen=True, slots=True)
class PictureSearch:
    """What the comparison of all pictures found.

    Attributes
    ----------
    same
        Pairs from :data:`SAME_PICTURE` on, closest first; the closest of too many.
    nearest
        The closest pairs below it, closest first.
    """

    same: tuple[Pair, ...]
    nearest: tuple[Pair, ...]


def same_bytes(digests: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return positions of equal digests, in groups of two or more."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for position, digest in enumerate(digests):
        found[digest].append(position)
    return tuple(tuple(group) for group in found.values() if len(group) > 1)


def same_pictures(
    thumbnails: NDArray[np.uint8], *, threshold: float = SAME_PICTURE, nearest: int = 0
) -> PictureSearch:
    """Compare all pictures with one another.

    Each thumbnail less the mean of its neighbourhood, normalised: what all chests have in
    common is smooth and falls away, edges and ribs are left. The correlations are products
    of blocks of the matrix of thumbnails; only one block of them is held at a time.

    Parameters
    ----------
    thumbnails
        uint8 ``[N, S, S]``.
    threshold
        Correlation from which two pictures are the same.
    nearest
        How many pairs below it to return.
    """
    same: list[Pair] = []
    below: list[Pair] = []
    blocks = [*range(0, len(thumbnails), _BLOCK), len(thumbnails)]
    for number, (top, bottom) in enumerate(pairwise(blocks)):
        rows = local_contrast(thumbnails[top:bottom])
        for left, right in pairwise(blocks[number:]):
            columns = rows if left == top else local_contrast(thumbnails[left:right])
            correlation = rows @ columns.T
            if left == top:
                # Each pair once, and none with itself.
                correlation[np.tril_indices(len(rows))] = -1.0
            same += _pairs(correlation, top, left, threshold, np.inf, MAX_PAIRS)
            floor = below[-1].correlation if len(below) == nearest and below else 0.0
            if nearest:
                below += _pairs(correlation, top, left, floor, threshold, nearest)
                below = _closest(below, nearest)
        same = _closest(same, MAX_PAIRS)
    return PictureSearch(tuple(same), tuple(below))


def local_contrast(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return thumbnails less their local means as unit vectors, float32 ``[N, S * S]``.

    A thumbnail of one grey becomes zero, and resembles nothing.
    """
    values = thumbnails.astype(np.float32)
    size = (1, _NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX)
    values -= uniform_filter(values, size, mode="nearest")
    vectors = values.reshape(len(values), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    # Less than a grey level in all: rounding, not a picture.
    unit: NDArray[np.float32] = np.where(length < 1.0, 0.0, vectors / np.maximum(length, 1.0))
    return unit.astype(np.float32, copy=False)


def joined(pairs: Sequence[tuple[int, int]], count: int) -> tuple[tuple[int, ...], ...]:
    """Return groups of positions below ``count`` that pairs hold together."""
    if not pairs:
        return ()
    first, second = np.array(pairs).T
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (first, second)), (count, count))
    _, groups = connected_components(graph, directed=False)
    found: defaultdict[int, list[int]] = defaultdict(list)
    for position in sorted({*first.tolist(), *second.tolist()}):
        found[int(groups[position])].append(position)
    return tuple(tuple(group) for group in found.values())


def _pairs(  # noqa: PLR0913, PLR0917 - a block of a matrix and where it lies
    correlation: NDArray[np.float32], top: int, left: int, low: float, high: float, most: int
) -> list[Pair]:
    rows, columns = np.nonzero((correlation >= low) & (correlation < high))
    values = correlation[rows, columns]
    if values.size > most:
        chosen = np.argpartition(-values, most)[:most]
        rows, columns, values = rows[chosen], columns[chosen], values[chosen]
    return [
        Pair(top + int(row), left + int(column), min(1.0, float(value)))
        for row, column, value in zip(rows, columns, values, strict=True)
    ]


def _closest(pairs: list[Pair], most: int) -> list[Pair]:
    pairs.sort(key=lambda pair: (-pair.correlation, pair.first, pair.second))
    return pairs[:most]
