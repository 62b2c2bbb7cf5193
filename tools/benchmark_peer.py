"""What screening is measured beside: a chest X-ray model as its users run it from Python.

The way of torchxrayvision's examples, made again without the package: ``pixel_array`` of
pydicom, grey values to -1024..1024, the centre of the image, scikit-image's ``resize`` to 224
pixels and a DenseNet121 on PyTorch, one image after the other. It applies no window, refuses
nothing and notices no damage. JPEG lossless is decoded by SimpleITK, since pydicom has no
decoder of its own for it. scikit-image comes with ``pip install 'cxrscreen[bench]'``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

_SIZE_PX: Final = 224
_HALF_RANGE: Final = 1024.0
_FINDINGS: Final = 18


@dataclass(frozen=True)
class PeerRates:
    """What the peer takes.

    Attributes
    ----------
    images_per_s : float
        Without imports and the making of the network.
    seconds : dict of str to float
        Mean of an image by stage.
    start_s : float
        Imports and the making of the network.
    """

    images_per_s: float
    seconds: dict[str, float]
    start_s: float


def measure_peer(paths: list[Path]) -> PeerRates:
    """Judge images one at a time, with all cores that PyTorch takes, and return how fast.

    Parameters
    ----------
    paths : list of Path
        DICOM and JPEG files. The first is judged once more before, without a clock.
    """
    started = time.perf_counter()
    judge = _make_judge()
    start_s = time.perf_counter() - started
    judge(paths[0])
    sums: dict[str, float] = defaultdict(float)
    started = time.perf_counter()
    for path in paths:
        for stage, seconds in judge(path).items():
            sums[stage] += seconds
    elapsed = time.perf_counter() - started
    return PeerRates(
        len(paths) / elapsed, {stage: total / len(paths) for stage, total in sums.items()}, start_s
    )


def _make_judge() -> Callable[[Path], dict[str, float]]:
    import torch  # noqa: PLC0415 - its time is part of what is measured
    from monai.networks.nets.densenet import DenseNet121  # noqa: PLC0415 - the same
    from skimage.transform import resize  # noqa: PLC0415 - the same

    from cxrscreen.intake.codecs.table import codec_table  # noqa: PLC0415 - the same

    # pydicom knows SimpleITK's decoders from here on.
    codec_table()
    network: torch.nn.Module = DenseNet121(
        spatial_dims=2, in_channels=1, out_channels=_FINDINGS
    ).eval()

    def judge(path: Path) -> dict[str, float]:
        times = [time.perf_counter()]
        values, top = _read(path)
        times.append(time.perf_counter())
        image = (2.0 * (values.astype("float32") / top) - 1.0) * _HALF_RANGE
        side = min(image.shape)
        rows, columns = ((length - side) // 2 for length in image.shape)
        square = image[rows : rows + side, columns : columns + side][None]
        small = resize(square, (1, _SIZE_PX, _SIZE_PX), mode="constant", preserve_range=True)
        times.append(time.perf_counter())
        with torch.no_grad():
            network(torch.from_numpy(small.astype("float32"))[None])
        times.append(time.perf_counter())
        stages = ("pixel_array", "resize", "network")
        return {
            stage: end - begin
            for stage, begin, end in zip(stages, times[:-1], times[1:], strict=True)
        }

    return judge


def _read(path: Path) -> tuple[NDArray[Any], float]:
    import numpy as np  # noqa: PLC0415 - with the others
    import pydicom  # noqa: PLC0415 - the same
    from PIL import Image  # noqa: PLC0415 - the same

    if path.suffix == ".jpg":
        with Image.open(path) as image:
            return np.asarray(image), 255.0
    dataset = pydicom.dcmread(path)
    return dataset.pixel_array, float((1 << dataset.BitsStored) - 1)


def main(arguments: list[str] | None = None) -> int:
    """Measure the peer on a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a corpus of tools/benchmark_corpus.py")
    parser.add_argument("--files", type=int, default=20)
    options = parser.parse_args(arguments)
    found = measure_peer(sorted(options.folder.iterdir())[: options.files])
    sys.stdout.write(f"{found.images_per_s:.2f} images/s, ready after {found.start_s:.1f} s\n")
    for stage, seconds in found.seconds.items():
        sys.stdout.write(f"{stage}: {seconds * 1000:.0f} ms\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
