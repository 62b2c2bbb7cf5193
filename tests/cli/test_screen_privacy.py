"""What a header holds about a person appears nowhere but where ``--phi`` puts it."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pyarrow import parquet
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from typer.testing import CliRunner

from cxrscreen.cli.app import app
from cxrscreen.intake.header.dicom import quiet_readers
from cxrscreen.reports.journal import Journal
from cxrscreen.reports.manifest import read_manifest

MARKER = "QZMARKERQZ"
FOLDER = "qzfolderqz"
BIRTH, STUDY = "20110203", "20140505"
UID = "2.25.77777777777777777777"
ENDINGS = (".csv", ".jsonl", ".parquet", ".xlsx")
#: A value of these is a code that the report shows, or changes what the image is taken for.
NOT_PERSONAL = {
    *("Manufacturer", "PatientSpeciesDescription", "PatientBreedDescription"),
    *("SpecificCharacterSet", "PixelData"),
}
TEXT = {"PN", "LO", "SH", "ST", "LT", "UT", "UC", "AE", "UR"}
SEQUENCES = (
    *("OtherPatientIDsSequence", "RequestAttributesSequence", "ReferencedStudySequence"),
    *("IssuerOfAccessionNumberSequence", "ReferringPhysicianIdentificationSequence"),
    *("PhysiciansOfRecordIdentificationSequence", "OperatorIdentificationSequence"),
    *("ProcedureCodeSequence", "PerformedProtocolCodeSequence", "InstitutionCodeSequence"),
    *("PatientInsurancePlanCodeSequence", "ViewCodeSequence", "AnatomicRegionSequence"),
    *("PersonIdentificationCodeSequence", "OriginalAttributesSequence"),
)


def mark(dataset: Dataset) -> None:
    """Plant the marker in every text of the dictionary, in sequences and private elements."""
    for tag, (vr, _vm, _name, _retired, keyword) in DicomDictionary.items():
        if vr in TEXT and keyword not in NOT_PERSONAL and 0x00080000 <= tag < 0x50000000:
            setattr(dataset, keyword, f"{MARKER}^X" if vr == "PN" else MARKER)
    for keyword in SEQUENCES:
        item = Dataset()
        item.PatientID, item.IssuerOfPatientID = MARKER, MARKER
        item.PatientName, item.PersonName = f"{MARKER}^Y", f"{MARKER}^Y"
        item.CodeMeaning, item.ScheduledProcedureStepDescription = MARKER, MARKER
        inner = Dataset()
        inner.PatientComments, inner.PatientAddress, inner.CodeMeaning = MARKER, MARKER, MARKER
        item.OtherPatientIDsSequence = Sequence([inner])
        setattr(dataset, keyword, Sequence([item]))
    block = dataset.private_block(0x0009, MARKER, create=True)
    block.add_new(1, "LO", MARKER)
    block.add_new(2, "UN", MARKER.encode())
    dataset.file_meta.SourceApplicationEntityTitle = MARKER
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3"
    dataset.file_meta.PrivateInformation = MARKER.encode()
    dataset.PatientBirthDate, dataset.StudyDate, dataset.SeriesDate = BIRTH, STUDY, STUDY
    dataset.PatientAge = "003Y"


@pytest.fixture(scope="module")
def export(tmp_path_factory, chest) -> Path:
    """One that is judged, its copy, and others that are refused at each step."""
    from tests.conftest import add_pixels, chest_header  # noqa: PLC0415

    root = tmp_path_factory.mktemp("export")
    folder = root / FOLDER
    folder.mkdir()
    stored = np.rint(chest * 4095).astype(np.uint16)

    def save(name: str, **elements: object) -> Path:
        dataset = chest_header(1)
        with quiet_readers():
            mark(dataset)
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID
            add_pixels(dataset, stored, bits=12, signed=False, photometric="MONOCHROME2")
            for keyword, value in elements.items():
                setattr(dataset, keyword, value)
            dataset.save_as(folder / name, enforce_file_format=True)
        return folder / name

    judged = save("judged.dcm")
    save("lateral.dcm", ViewPosition="LL")
    save("other.dcm", Modality="CT", SOPClassUID=pydicom.uid.CTImageStorage)
    save("animal.dcm", PatientSpeciesDescription=MARKER)
    save("part.dcm", BodyPartExamined=f"{MARKER}^X")
    save("age.dcm", PatientAge="080Y")
    save("size.dcm", Rows=65535)
    content = judged.read_bytes()
    (folder / "truncated.dcm").write_bytes(content[:-1000])
    (folder / "header.dcm").write_bytes(content[: content.index(MARKER.encode(), 2000)])
    (folder / "text.txt").write_text(MARKER)
    with zipfile.ZipFile(folder / "z.zip", "w") as archive:
        archive.writestr(f"{FOLDER}/copy.dcm", content)
    return root


def everything(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder, unpacked."""
    found: dict[str, bytes] = {}
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        content = file.read_bytes()
        found[file.name] = content
        if file.suffix == ".parquet":
            found[f"{file.name} cells"] = repr(parquet.read_table(file).to_pylist()).encode()
        if file.suffix in (".xlsx", ".npz"):
            with zipfile.ZipFile(io.BytesIO(content)) as parts:
                found |= {f"{file.name}/{n}": parts.read(n) for n in parts.namelist()}
    return found


def screened(export: Path, out: Path, capfd, monkeypatch, phi: str, *more: object):
    """Screen, and return the result, all that was printed, and all files that ever were there."""
    out.mkdir()
    outs = [out / f"r{ending}" for ending in ENDINGS]
    journals: dict[str, bytes] = {}
    real = Journal.start_writing

    def start_writing(self, *outputs):
        real(self, *outputs)
        journals.update(everything(out))

    monkeypatch.setattr(Journal, "start_writing", start_writing)
    arguments = ["screen", export, "--phi", phi, "--workers", 0, *more]
    for path in outs:
        arguments += ["--out", path]
    arguments += ["--html", out / "r.html", "--maps", out / "maps", "--all-maps"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    printed = (result.stdout + result.stderr).encode() + "".join(capfd.readouterr()).encode()
    assert any(name.endswith(".journal") for name in journals)
    files = everything(out)
    assert "r.html" in files
    assert any(name.endswith(".png") for name in files)
    return result, printed, journals, files


def holders(contents: dict[str, bytes], text: str) -> set[str]:
    return {name for name, content in contents.items() if text.encode() in content}


def test_pseudonyms_tell_no_person(export, tmp_path, capfd, monkeypatch):
    result, printed, journals, files = screened(
        export, tmp_path / "o", capfd, monkeypatch, "pseudonym"
    )
    assert result.exit_code == 3, result.output
    for secret in (MARKER, BIRTH, STUDY):
        assert secret.encode() not in printed
        assert holders(journals, secret) == holders(files, secret) == set()
    rows = list(csv.DictReader(io.StringIO(files["r.csv"].decode(), newline="")))
    codes = {Path(row["source"]).name: row["reject_code"] for row in rows}
    assert codes["judged.dcm"] == ""
    assert {"WRONG_VIEW", "WRONG_MODALITY", "NOT_HUMAN", "OUTSIDE_AGE_RANGE"} <= set(codes.values())
    assert {"DECODE_FAILED", "DUPLICATE", "NOT_AN_IMAGE"} <= set(codes.values())
    keys = {row["patient_key"] for row in rows} - {""}
    assert len(keys) == 1
    (judged,) = (row for row in rows if row["source"].endswith("judged.dcm"))
    assert (judged["sop_instance_uid"], len(judged["accession_key"])) == (UID, 16)


def test_full_tells_it_in_three_columns_and_nowhere_else(export, tmp_path, capfd, monkeypatch):
    _, printed, _, files = screened(export, tmp_path / "o", capfd, monkeypatch, "full")
    assert MARKER.encode() not in printed
    assert holders(files, MARKER) <= {
        *("r.csv", "r.html", "r.jsonl", "r.parquet", "r.parquet cells"),
        "r.xlsx/xl/worksheets/sheet1.xml",
    }
    for row in csv.DictReader(io.StringIO(files["r.csv"].decode(), newline="")):
        told = {name for name, cell in row.items() if MARKER in cell}
        assert told <= {"patient_id", "patient_name", "accession_number"}
        if row["source"].endswith("judged.dcm"):
            assert row["patient_name"] == f"{MARKER}^X"
            assert (row["patient_id"], row["accession_number"]) == (MARKER, MARKER)
            assert len(row["patient_key"]) == 16


def test_none_tells_no_path_and_no_uid(export, tmp_path, capfd, monkeypatch):
    result, printed, journals, files = screened(
        export, tmp_path / "o", capfd, monkeypatch, "none", "--glob", f"{FOLDER}/**"
    )
    assert result.exit_code == 3
    for secret in (MARKER, BIRTH, FOLDER, UID, "judged.dcm", str(export), "2.25.1"):
        assert secret.encode() not in printed, secret
        assert holders(journals, secret) == holders(files, secret) == set(), secret
    rows = [json.loads(line) for line in files["r.jsonl"].splitlines()]
    assert len({row["source"] for row in rows}) == len(rows)
    (copy,) = (row for row in rows if row["duplicate_of"])
    assert copy["duplicate_of"] in {row["source"] for row in rows} - {copy["source"]}
    assert read_manifest(tmp_path / "o" / "r.run.json").phi == "none"


@pytest.mark.parametrize("option", ["--dry-run", "--fail-on-unscreened"])
def test_other_ways_to_look_tell_no_more(export, tmp_path, capfd, option):
    for phi, secrets in (("pseudonym", [MARKER]), ("none", [MARKER, FOLDER, UID, "age.dcm"])):
        out = tmp_path / f"{phi}.csv"
        arguments = ["screen", export, "--out", out, "--workers", 0, "--phi", phi, option]
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code == 3
        printed = result.stdout + result.stderr + "".join(capfd.readouterr())
        assert not [secret for secret in secrets if secret in printed]
        assert "OUTSIDE_AGE_RANGE" in printed
    assert not [name for name in os.listdir(tmp_path) if name.endswith((".csv", ".json"))]


def test_a_changed_input_is_named_as_the_report_names_it(export, tmp_path):
    """The journal is refused; what has changed is told by its hash."""
    out, text = tmp_path / "r.csv", export / FOLDER / "text.txt"
    fixed = ["screen", str(export), "--out", str(out), "--workers", "0", "--phi", "none"]
    with pytest.MonkeyPatch.context() as patch:

        def full(self, *_):
            self.commit()
            raise KeyboardInterrupt

        patch.setattr(Journal, "start_writing", full)
        assert CliRunner().invoke(app, fixed).exit_code == 130
    os.utime(text, (1, 1))
    result = CliRunner().invoke(app, [*fixed, "--resume"])
    assert result.exit_code == 2
    assert "has changed since is" in result.stderr
    assert FOLDER not in result.stderr


def test_every_text_of_a_header_was_marked():
    dataset = Dataset()
    dataset.file_meta = Dataset()
    with quiet_readers():
        mark(dataset)
    planted = {keyword_for_tag(element.tag) for element in dataset}
    assert {
        *("PatientName", "PatientID", "OtherPatientNames", "PatientAddress", "PatientComments"),
        *("ReferringPhysicianName", "InstitutionName", "StudyDescription", "SeriesDescription"),
        *("AccessionNumber", "PatientTelephoneNumbers", "MilitaryRank", "ImageComments"),
        *("PatientBirthName", "PatientMotherBirthName", "MedicalRecordLocator", "StudyID"),
        *("OperatorsName", "StationName", "DeviceSerialNumber", "RequestingPhysician"),
        *("AdditionalPatientHistory", "Allergies", "EthnicGroup", "Occupation"),
    } <= planted
    assert len(planted) > 500
