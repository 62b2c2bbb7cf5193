from __future__ import annotations

import dataclasses
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.errors import PseudonymKeyError
from cxrscreen.intake import open_image
from cxrscreen.records import (
    Admission,
    ImageRecord,
    Member,
    PatientIdentity,
    ScreenRow,
    Source,
)
from cxrscreen.reports.privacy import Privacy
from cxrscreen.reports.pseudonym_key import config_folder, load_key
from cxrscreen.vocabulary import Decision, Phi, RejectCode, SourceKind

KEY = bytes(range(32))
WHO = PatientIdentity("4711", "Ward A", "Doe^Jane", "A-99")


def row_of(identity: PatientIdentity = WHO, **fields: object) -> ScreenRow:
    record = ImageRecord(
        Source(Path("in/doe.zip"), (Member("jane.dcm", 0, 1),), frame=2),
        SourceKind.DICOM,
        sop_instance_uid="1.2.3",
        series_instance_uid="1.2",
        study_instance_uid="1.2.3",
        identity=identity,
        **fields,
    )
    refusal = Admission.refuse(RejectCode.DUPLICATE, "the same image as in an earlier row")
    return ScreenRow(record, refusal, None, Decision.NOT_SCREENED, 0.1, "in/doe.dcm frame 2")


def shown(phi: Phi, row: ScreenRow | None = None, key: bytes = KEY) -> ScreenRow:
    return Privacy(phi, key).shown(row or row_of())


def test_a_pseudonym_keeps_what_leads_to_the_study():
    row, record = row_of(), shown(Phi.PSEUDONYM).record
    assert shown(Phi.PSEUDONYM).duplicate_of == row.duplicate_of
    assert record.identity == PatientIdentity()
    assert (record.source, record.sop_instance_uid) == (row.record.source, "1.2.3")
    assert len(record.patient_key) == len(record.accession_key) == 16


def test_full_tells_who_it_is_and_keeps_the_pseudonyms():
    record = shown(Phi.FULL).record
    assert record.identity == WHO
    assert record.patient_key == shown(Phi.PSEUDONYM).record.patient_key


def test_none_replaces_paths_and_uids():
    row = shown(Phi.NONE)
    record = row.record
    text = f"{row!r}{record.source}{row.duplicate_of}"
    assert not [word for word in ("doe", "jane", "1.2", "4711", "Ward", "A-99") if word in text]
    assert record.source.frame == 2
    # Equal UIDs stay equal, and a path is no UID.
    assert record.study_instance_uid == record.sop_instance_uid != record.series_instance_uid
    copy = dataclasses.replace(row_of().record, source=Source(Path("in/doe.dcm"), frame=2))
    earlier = Privacy(Phi.NONE, KEY).source(copy.source)
    assert row.duplicate_of == str(earlier)


def test_who_has_no_number_has_no_pseudonym():
    record = shown(Phi.PSEUDONYM, row_of(PatientIdentity(patient_name="Doe", issuer="A"))).record
    assert record.patient_key == record.accession_key == ""


@given(st.text(), st.text(), st.text(), st.text())
@settings(deadline=None)
def test_other_patients_have_other_pseudonyms(one, issuer, other, other_issuer):
    first, second = (
        shown(Phi.PSEUDONYM, row_of(PatientIdentity(number, place))).record.patient_key
        for number, place in ((one, issuer), (other, other_issuer))
    )
    assert (first == second) == (
        (one, issuer if one else "") == (other, other_issuer if other else "")
    )


def test_another_key_gives_other_pseudonyms_and_is_recognised():
    assert shown(Phi.FULL).record.patient_key != shown(Phi.FULL, key=b"x" * 32).record.patient_key
    prints = {Privacy(phi, key).fingerprint for phi in Phi for key in (KEY, b"x" * 32)}
    assert len(prints) == 2
    assert KEY.hex() not in repr(Privacy(Phi.NONE, KEY))
    assert str(KEY) not in repr(Privacy(Phi.NONE, KEY))
    with pytest.raises(ValueError, match="31 bytes"):
        Privacy(Phi.NONE, KEY[1:])


def test_the_identity_travels_from_workers_and_is_not_shown():
    row = pickle.loads(pickle.dumps(row_of()))  # noqa: S301 - our own
    assert row.record.identity == WHO
    assert not [word for word in ("4711", "Ward", "Jane", "A-99") if word in repr(row)]


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"PatientID": " 47 11 ", "IssuerOfPatientID": "W "}, PatientIdentity("47 11", "W")),
        ({"PatientID": "A\\B"}, PatientIdentity("A\\B")),
        ({"PatientID": None}, PatientIdentity()),
        (
            {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Zoë ", "PatientID": "é"},
            PatientIdentity(patient_id="é", patient_name="Müller^Zoë"),
        ),
        (
            {
                "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
                "PatientName": "Yamada^Tarou=山田^太郎",
                "PatientID": "1",
            },
            PatientIdentity("1", patient_name="Yamada^Tarou=山田^太郎"),
        ),
        ({"AccessionNumber": "  0 ", "PatientID": ""}, PatientIdentity(accession_number="0")),
    ],
)
def test_what_a_header_says_of_the_person(make_dicom, elements, expected):
    path = make_dicom(**({"PatientName": None} | elements))
    assert open_image(Source(path)).record.identity == expected


def test_letters_that_can_be_written_in_two_ways_are_one_patient(make_dicom):
    keys = set()
    for number in ("e\u0301", "\u00e9"):
        path = make_dicom(SpecificCharacterSet="ISO_IR 192", PatientID=number)
        row = dataclasses.replace(row_of(), record=open_image(Source(path)).record)
        keys.add(shown(Phi.PSEUDONYM, row).record.patient_key)
    assert len(keys) == 1


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    before = os.umask(0o022)
    try:
        key = load_key(environ=environ)
    finally:
        os.umask(before)
    folder = tmp_path / "config" / "cxrscreen"
    assert len(key) == 32
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "pseudonym.key").stat().st_mode) == 0o600
    assert os.listdir(folder) == ["pseudonym.key"]
    assert load_key(environ=environ) == key
    assert load_key(environ={"CXRSCREEN_CONFIG": str(tmp_path / "other")}) != key


def test_runs_that_make_a_key_at_the_same_time_get_the_same_one(tmp_path):
    code = "from cxrscreen.reports.pseudonym_key import load_key; print(load_key().hex())"
    environ = {**os.environ, "CXRSCREEN_CONFIG": str(tmp_path / "new")}
    environ.pop("CXRSCREEN_PHI_KEY", None)
    runs = [
        subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    assert len({run.communicate()[0] for run in runs}) == 1
    assert [run.returncode for run in runs] == [0] * 4


def test_where_the_key_is(tmp_path):
    assert config_folder({"CXRSCREEN_CONFIG": "c", "XDG_CONFIG_HOME": "/x"}) == Path("c")
    assert config_folder({"XDG_CONFIG_HOME": "/x"}) == Path("/x/cxrscreen")
    # The specification has relative ones ignored.
    assert config_folder({"XDG_CONFIG_HOME": "x"}) == Path.home() / ".config" / "cxrscreen"
    shared = tmp_path / "shared.key"
    shared.write_bytes(KEY)
    shared.chmod(0o400)
    environ = {"CXRSCREEN_PHI_KEY": str(shared), "CXRSCREEN_CONFIG": str(tmp_path / "c")}
    assert load_key(environ=environ) == load_key(shared, environ={}) == KEY
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "k"
    path.write_bytes(KEY)
    path.chmod(mode)
    with pytest.raises(PseudonymKeyError, match=f"others may read .* {mode:o}") as caught:
        load_key(path)
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("content", [b"", KEY[1:], KEY + b"\n"])
def test_a_key_of_another_length_is_refused(tmp_path, content):
    path = tmp_path / "k"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(PseudonymKeyError, match="does not hold 32 bytes"):
        load_key(path)


def test_a_key_that_is_named_has_to_be_there(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(PseudonymKeyError, match="cannot be read"):
            load_key(path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(PseudonymKeyError, match="does not hold"):
        load_key(tmp_path / "pipe")
    assert sorted(os.listdir(tmp_path)) == ["pipe"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PseudonymKeyError, match="cannot be made: ") as caught:
        load_key(environ={"CXRSCREEN_CONFIG": str(tmp_path / "file")})
    assert "$CXRSCREEN_CONFIG" in caught.value.hint
