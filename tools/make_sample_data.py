"""Write the synthetic radiographs of ``sample_data/`` from a fixed seed.

Run it as ``python tools/make_sample_data.py [--out DIR]``; every run writes the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if not __package__:
    # Run as a script, the folder on the path is tools/ and not the one that holds it.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.phantom import project, project_hand, sample_anatomy
from tools.writers import DicomSpec, write_dicom, write_jpeg, write_png

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 20240229
# Landscape like the real ones, small enough for the whole folder to stay below 8 MB.
ROWS, COLUMNS = 592, 736

NOTES = """\
Sample data of cxrscreen
========================

Every radiograph in sample_data/ is synthetic: rays through a geometric phantom of a child's
chest (or of a hand), computed by tools/make_sample_data.py from a fixed seed. No image of a
person was used to draw them. Run

    python tools/make_sample_data.py

to write the same bytes again.

frontal/   radiographs to be screened; the names say what the phantom has
refused/   files that must be refused, each for its own reason; this text file is one of them
"""


@dataclass(frozen=True)
class Case:
    """One frontal phantom radiograph.

    Attributes
    ----------
    name : str
        File name in ``frontal/``; its suffix chooses the format.
    number : int
        Number of the phantom child; the generator is seeded with it.
    bits : int
        Bits per pixel of a PNG, 8 or 16.
    dicom : DicomSpec or None
        How a DICOM file is written.
    """

    name: str
    number: int
    bits: int = 8
    dicom: DicomSpec | None = None

    @property
    def pneumonia(self) -> bool:
        """Tell whether the phantom child has pneumonia."""
        return self.name.startswith("pneumonia")


# Children whom models trained on real radiographs alone call what they are with some margin.
# The normal ones are four that both packaged models call normal. At their default points they flag
# many another: phantoms look like nothing that the models were made from.
CASES: tuple[Case, ...] = (
    Case("normal-01.jpg", 31),
    Case("normal-02.png", 35, bits=16),
    Case(
        "normal-03.dcm",
        11,
        dicom=DicomSpec(modality="CR", inverted=True, bits=12, age="003Y", sex="F"),
    ),
    Case(
        "normal-04.dcm",
        30,
        dicom=DicomSpec(modality="DX", bits=16, intercept=-32768, age="004Y", sex="M"),
    ),
    Case("pneumonia-01.jpg", 5),
    Case("pneumonia-02.png", 6),
    Case(
        "pneumonia-03.dcm",
        12,
        dicom=DicomSpec(modality="DX", bits=12, coding="rle", view="AP", age="002Y", sex="M"),
    ),
    Case(
        "pneumonia-04.dcm",
        8,
        dicom=DicomSpec(modality="CR", inverted=True, bits=16, view="AP", age="001Y", sex="F"),
    ),
    Case(
        "pneumonia-05.dcm",
        9,
        dicom=DicomSpec(modality="DX", bits=8, coding="jpeg", view="AP", age="005Y", sex="M"),
    ),
)


def frontal(case: Case) -> NDArray[np.float64]:
    """Take the frontal radiograph of a case.

    Parameters
    ----------
    case : Case
        Which phantom child.

    Returns
    -------
    ndarray of float64
        Grey values 0..1 with air dark, shape ``(ROWS, COLUMNS)``.
    """
    rng = np.random.default_rng((SEED, case.number))
    child = sample_anatomy(rng, pneumonia=case.pneumonia)
    return project(child, view="frontal", shape=(ROWS, COLUMNS), rng=rng)


def _refused(folder: Path) -> list[Path]:
    """Write what must be refused."""
    rng = np.random.default_rng((SEED, 101))
    # For a lateral view the arms are raised out of the beam.
    child = replace(sample_anatomy(rng, pneumonia=False), arms=(1.3, 1.4))
    lateral = project(child, view="lateral", shape=(ROWS, 500), rng=rng)
    hand = project_hand(shape=(ROWS, 500), rng=np.random.default_rng((SEED, 102)))
    spec = DicomSpec(modality="DX", bits=8, view="LL")
    write_dicom(folder / "lateral.dcm", lateral, spec, number=101)
    spec = DicomSpec(modality="DX", bits=8, view="PA", part="HAND")
    write_dicom(folder / "hand.dcm", hand, spec, number=102)
    chest = frontal(CASES[2])
    whole = folder / "truncated.dcm"
    write_dicom(whole, chest, DicomSpec(modality="DX", bits=12), number=103)
    # As after a broken transfer: the header promises more pixels than there are.
    whole.write_bytes(whole.read_bytes()[: chest.size])
    write_dicom(folder / "no-pixels.dcm", None, DicomSpec(modality="DX", bits=12), number=104)
    (folder / "notes.txt").write_bytes(NOTES.encode("ascii"))
    return sorted(folder.iterdir())


def write_all(out: Path) -> list[Path]:
    """Write every sample file.

    Parameters
    ----------
    out : Path
        Folder that gets ``frontal/`` and ``refused/``; made if need be.

    Returns
    -------
    list of Path
        The files written.
    """
    (out / "frontal").mkdir(parents=True, exist_ok=True)
    (out / "refused").mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for case in CASES:
        path = out / "frontal" / case.name
        image = frontal(case)
        if case.dicom is not None:
            write_dicom(path, image, case.dicom, number=case.number)
        elif path.suffix == ".jpg":
            write_jpeg(path, image)
        else:
            write_png(path, image, bits=case.bits)
        written.append(path)
    return written + _refused(out / "refused")


def main(arguments: list[str] | None = None) -> int:
    """Write the files and list them.

    Parameters
    ----------
    arguments : list of str or None
        Command line without the program's name; None takes the process's own.

    Returns
    -------
    int
        Exit status, 0.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("sample_data"), help="output folder")
    out: Path = parser.parse_args(arguments).out
    for path in write_all(out):
        sys.stdout.write(f"{path.stat().st_size:9d}  {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
