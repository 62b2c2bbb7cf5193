"""The process in which ``fuzz_intake`` has files read, so that it may die of them."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cxrscreen import intake, load_bundle, screen
from cxrscreen.admission import admit_header, admit_pixels
from cxrscreen.errors import ImageRefusedError
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.records import IntendedUse, PixelImage, Source

if TYPE_CHECKING:
    from cxrscreen.model.bundle import ModelBundle

_CHILDREN = IntendedUse(population="children", age_range_years=(1, 5))


@cache
def _bundle() -> ModelBundle:
    # The smaller of those that ship: what is fuzzed comes before the network.
    return load_bundle("cnn-pediatric")


@cache
def _sound(path: Path) -> PixelImage | None:
    try:
        return intake.open_image(Source(path)).read_pixels()
    except ImageRefusedError:
        return None


def _megabytes(name: str) -> float:
    """Return ``VmRSS``, the memory in use, or ``VmHWM``, its peak: Linux, proc(5)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def _step(path: Path, like: str) -> dict[str, Any]:
    sound = _sound(path.parents[1] / "sound" / f"{like}.bin")
    # Resets the peak of this process.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _megabytes("VmRSS")
    started, code, reason, difference = time.perf_counter(), "", "", None
    try:
        opened = intake.open_image(Source(path))
        admitted = admit_header(opened.record, _CHILDREN)
        # What the header refuses is decoded too: it is the decoders that are tried here.
        image = opened.read_pixels()
        difference = _difference(image, sound)
        admitted = admit_pixels(image, admitted)
        code, reason = admitted.code or "", admitted.reason
    except ImageRefusedError as error:
        code, reason = error.code, error.reason
    except Exception as error:  # noqa: BLE001 - what this study looks for
        code, reason = "raised", f"{type(error).__name__}: {error}"
    return {
        "end": True,
        "code": str(code),
        "reason": reason,
        "seconds": time.perf_counter() - started,
        "megabytes": _megabytes("VmHWM") - before,
        "difference": difference,
    }


def _difference(image: PixelImage, sound: PixelImage | None) -> float:
    if sound is None or sound.pixels.shape != image.pixels.shape:
        return 1.0
    return float(np.abs(image.pixels - sound.pixels).mean())


def main() -> None:
    """Answer questions from stdin, a JSON object each, on the given descriptor."""
    with os.fdopen(int(sys.argv[1]), "wb", buffering=0) as results:

        def answer(**what: Any) -> None:  # noqa: ANN401 - JSON
            results.write(json.dumps(what).encode() + b"\n")

        for line in sys.stdin:
            question = json.loads(line)
            if "die" in question:
                # What a decoder could do to this process: the watch itself is tested so.
                os.abort() if question["die"] == "abort" else time.sleep(3600)
            if "file" in question:
                answer(**_step(Path(question["file"]), question["like"]))
                continue
            try:
                for row in screen(question["folder"], _bundle(), ScreenOptions(workers=1)):
                    answer(
                        path=str(row.record.source.path),
                        row=str(row.record.source),
                        code=str(row.admission.code or ""),
                        reason=" ".join((row.admission.reason, *row.warnings)),
                        seconds=row.seconds,
                    )
                answer(end=True)
            except Exception as error:  # noqa: BLE001 - what this study looks for
                answer(end=True, error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    warnings.simplefilter("default")
    main()
