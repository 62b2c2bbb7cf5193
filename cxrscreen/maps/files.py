"""Maps as arrays: ``.npy`` for one array, ``.npz`` for everything that belongs to it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from cxrscreen.explain import METHOD
from cxrscreen.maps.place import PlacedMap
from cxrscreen.records import DisplayImage

#: What such files end with.
SUFFIXES: Final = (".npy", ".npz")
_NPY_START: Final = b"\x93NUMPY"
_MARK: Final = "activation.npy"
_KIND: Final = "method.npy"
_FLOATS: Final = ("float16", "float32")
_DIMENSIONS: Final = 2


def write_array(
    path: Path, placed: PlacedMap | None, display: DisplayImage, *, suffix: str, size_px: int
) -> None:
    """Write a map as an array.

    Parameters
    ----------
    path
        Where to write, whatever it is called.
    placed
        The map; where there is none, it is 0 everywhere.
    display
        The geometry of the radiograph.
    suffix
        ``.npy``: the map on the radiograph's grid, float32 ``[H, W]``. ``.npz``, compressed:
        ``activation`` is the same in half precision, which is finer than any map and a sixth
        of the size; ``network_activation`` the float32 map on the network's grid that it was
        made from; ``pixel_mm`` the distance of rows and of columns, NaN if unknown;
        ``geometry`` what made the grid another one than that of the stored pixels; ``method``.
    size_px
        Side of the network's grid.
    """
    if placed is None:
        network = np.zeros((size_px, size_px), dtype=np.float32)
        placed = PlacedMap(network, np.zeros(display.shape, dtype=np.float32))
    with path.open("wb") as stream:
        if suffix == ".npy":
            np.save(stream, placed.radiograph, allow_pickle=False)
            return
        np.savez_compressed(
            stream,
            activation=placed.radiograph.astype(np.float16),
            network_activation=placed.network,
            pixel_mm=np.array(display.pixel_mm or (np.nan, np.nan)),
            geometry=np.array(display.geometry, dtype=np.str_),
            method=np.array(METHOD),
        )


def is_map_array(path: Path) -> bool:
    """Return whether a file looks like an array that :func:`write_array` wrote.

    An ``.npy`` names no author: any floating-point array of two dimensions is taken for one.
    """
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        if stream.read(len(_NPY_START)) == _NPY_START:
            return _is_plane(path)
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {_MARK, _KIND} <= set(archive.namelist())


def _is_plane(path: Path) -> bool:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:
        return False
    return array.ndim == _DIMENSIONS and array.dtype.name in _FLOATS
