from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen import ScreenOptions
from cxrscreen.errors import ImageRefusedError
from cxrscreen.examine import ExamineSettings, examine
from cxrscreen.intake import InputList, discover, open_image
from cxrscreen.intake.search.archive import Limits, climbs_out
from cxrscreen.intake.search.discover import locate
from cxrscreen.intake.search.member import content_of
from cxrscreen.pipeline import screen
from cxrscreen.records import Source
from cxrscreen.vocabulary import RejectCode

WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
HERE = ScreenOptions(workers=0)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def locations(found: InputList) -> list[str]:
    return [item.source.location.rpartition("/")[2] for item in found]


def refusals(found: InputList) -> dict[str, str]:
    return {item.source.location: item.refusal.reason for item in found if item.refusal is not None}


@pytest.mark.parametrize(
    "pack", [zipped, tarred, lambda members: tarred(members, "w:gz")], ids=["zip", "tar", "tgz"]
)
def test_members_are_read_as_files_are(tmp_path, make_dicom, chest, packaged, pack):
    stored = np.rint(chest * 4095).astype(np.uint16)
    plain = [make_dicom(stored, **WINDOW), make_dicom(stored[:, ::-1], **WINDOW)]
    content = {f"study/{path.name}": path.read_bytes() for path in plain}
    # The name says nothing about what it is.
    (tmp_path / "export.dat").write_bytes(pack({**content, "study/notes.txt": b"notes"}))
    rows = list(screen([tmp_path / "export.dat"], packaged, HERE))
    assert [row.record.source.location for row in rows] == [
        f"{tmp_path}/export.dat!study/{name}"
        for name in (plain[0].name, plain[1].name, "notes.txt")
    ]
    expected = list(screen(plain, packaged, HERE))
    assert [row.prediction for row in rows[:2]] == [row.prediction for row in expected]
    assert rows[2].admission.code is RejectCode.NOT_AN_IMAGE
    # Nothing was unpacked beside it.
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["export.dat", *(path.name for path in plain)]
    )


def test_members_can_be_read_in_any_order(tmp_path):
    members = {f"{number}": bytes([number]) * (700 * number + 1) for number in range(20)}
    (tmp_path / "a.tgz").write_bytes(tarred(members, "w:gz"))
    found = discover([tmp_path])
    for index in (3, 19, 0, 7, 6, 19):
        assert content_of(found[index].source).data == members[str(index)]


def test_an_archive_in_an_archive(tmp_path):
    inner = zipped({"c": b"c"})
    (tmp_path / "a.tar").write_bytes(tarred({"b.zip": inner, "d": b"d"}))
    found = discover([tmp_path])
    assert locations(found) == ["a.tar!b.zip!c", "a.tar!d"]
    assert content_of(found[0].source).data == b"c"


def test_nesting_has_an_end(tmp_path):
    content = b"x"
    for depth in range(9):
        content = zipped({f"{depth}": content})
    (tmp_path / "deep.zip").write_bytes(content)
    (item,) = discover([tmp_path])
    assert item.refusal is not None
    assert item.refusal.code is RejectCode.ARCHIVE_REFUSED
    assert "more than 2 deep" in item.refusal.reason


@pytest.mark.parametrize(
    ("name", "climbs"),
    [
        ("a/b.dcm", False),
        ("a..b/c", False),
        ("../b", True),
        ("a/../../b", True),
        ("/etc/passwd", True),
        ("C:\\b", True),
        ("a\\..\\b", True),
        ("", True),
    ],
)
def test_names_that_climb_out(name, climbs):
    assert climbs_out(name) is climbs


def test_a_climbing_member_is_refused_and_the_others_are_not(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"../evil": b"x", "good": b"y"}))
    found = discover([tmp_path])
    assert locations(found)[1] == "a.zip!good"
    assert list(refusals(found).values()) == ["the member's name leads out of the archive"]


def test_limits_on_members_and_sizes(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({str(n): b"x" * n for n in range(1, 9)}))
    few = discover([tmp_path], limits=Limits(members=3))
    assert len(few) == 4
    assert "more than 3 members" in refusals(few)[f"{tmp_path}/a.zip"]
    small = discover([tmp_path], limits=Limits(member_bytes=5))
    assert len(small) == 8
    assert len(refusals(small)) == 3


@pytest.mark.parametrize("pack", [zipped, lambda members: tarred(members, "w:gz")])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, pack):
    (tmp_path / "bomb").write_bytes(pack({"first": b"x", "zeros": bytes(40 << 20)}))
    limits = Limits(free_bytes=1 << 20, member_bytes=1 << 20)
    found = discover([tmp_path], limits=limits)
    assert any("unpacks to more than 100 times" in reason for reason in refusals(found).values())


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path):
    content = bytearray(zipped({"a": bytes(100_000)}))
    for place in (content.find(b"PK\x03\x04") + 22, content.find(b"PK\x01\x02") + 24):
        content[place : place + 4] = (50_000).to_bytes(4, "little")
    (tmp_path / "lie.zip").write_bytes(bytes(content))
    (item,) = discover([tmp_path])
    with pytest.raises(ImageRefusedError) as caught:
        open_image(item.source)
    assert caught.value.code is RejectCode.ARCHIVE_REFUSED


def test_damage_and_encryption_have_a_row(tmp_path):
    whole = zipped({"a": b"a" * 9999, "b": b"b" * 9999}, zipfile.ZIP_STORED)
    (tmp_path / "cut.zip").write_bytes(whole[:-30])
    (tmp_path / "cut.tgz").write_bytes(
        tarred({"a": b"a", "b": np.random.default_rng(0).bytes(99_999)}, "w:gz")[:-50_000]
    )
    flipped = bytearray(whole)
    flipped[flipped.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(bytes(flipped))
    (tmp_path / "empty.zip").write_bytes(zipped({}))
    reasons = refusals(discover([tmp_path]))
    assert "damaged" in reasons[f"{tmp_path}/cut.zip"]
    assert "damaged" in reasons[f"{tmp_path}/cut.tgz"]
    assert reasons[f"{tmp_path}/secret.zip!a"] == "the member is encrypted"
    assert reasons[f"{tmp_path}/empty.zip"] == "the archive holds no file"


def test_a_damaged_member_is_refused_when_it_is_read(tmp_path):
    content = bytearray(zipped({"a": b"a" * 999}, zipfile.ZIP_STORED))
    content[content.find(b"aaaa") + 5] = 0
    (tmp_path / "a.zip").write_bytes(bytes(content))
    (item,) = discover([tmp_path])
    with pytest.raises(ImageRefusedError, match="damaged"):
        open_image(item.source)


def test_links_and_devices_in_a_tar_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        device = tarfile.TarInfo("null")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    found = discover([tmp_path])
    assert len(found) == len(refusals(found)) == 2


def test_an_office_document_is_one_file(tmp_path):
    (tmp_path / "letter.docx").write_bytes(
        zipped({"[Content_Types].xml": b"<", "_rels/.rels": b"<", "a.xml": b"<"})
    )
    (item,) = discover([tmp_path])
    assert item.source.members == ()


def test_gzip_without_a_tar_is_one_file(tmp_path):
    (tmp_path / "image.dcm.gz").write_bytes(gzip.compress(b"x" * 5000))
    (item,) = discover([tmp_path])
    assert item.refusal is None
    with pytest.raises(ImageRefusedError, match="gzip"):
        open_image(item.source)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_archive_loses_its_row_or_stops_the_search(tmp_path_factory, packaged, data):
    pack = data.draw(st.sampled_from([zipped, tarred, lambda m: tarred(m, "w:gz")]))
    content = bytearray(pack({"a": b"a" * 700, "b": zipped({"c": b"c"})}))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path: Path = tmp_path_factory.mktemp("fuzz") / "a"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    found = discover([path])
    assert len(found) >= 1
    examine_settings = ExamineSettings(packaged.spec, packaged.intended_use, HERE.permissions)
    for item in found:
        assert item.source.path == path
        rows = list(examine(item, examine_settings))
        assert [row.admission.code for row in rows] != [RejectCode.INTERNAL_ERROR]


def test_a_frozen_list_gives_back_what_it_was_made_of(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"x": b"x", "../y": b"y"}))
    (tmp_path / "b").write_bytes(b"b")
    found = discover([tmp_path])
    assert [item.source.path.name for item in found] == ["a.zip", "a.zip", "b"]
    assert found[-1].source == Source(tmp_path / "b")
    assert found[0:2] == (found[0], found[1])
    assert InputList(found)[1] == found[1]
    with pytest.raises(IndexError):
        found[3]


def test_a_set_of_images_beside_a_document_is_no_document(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"a.dcm": b"a", "mimetype": b"text/plain"}))
    assert len(discover([tmp_path])) == 2


def test_members_of_one_name_are_told_apart(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for content in (b"first", b"second!"):
            info = tarfile.TarInfo("x")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (tmp_path / "a.tar").write_bytes(stream.getvalue())
    found = discover([tmp_path])
    assert locations(found) == ["a.tar!x", "a.tar!x#2"]
    assert content_of(locate(f"{tmp_path}/a.tar!x#2")).data == b"second!"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("damage", ["flip", "zero", "cut", "no end", "more behind"])
def test_a_tar_that_does_not_end_as_it_should_has_a_row_of_its_own(tmp_path, damage, mode):
    whole = tarred({"p": b"p" * 600, "q": b"q" * 600, "r": b"r" * 600})
    second = 512 + 1024
    spoilt = {
        "flip": whole[:second] + b"Q" + whole[second + 1 :],
        "zero": whole[:second] + bytes(512) + whole[second + 512 :],
        "cut": whole[: second + 100],
        "no end": whole[:second],
        "more behind": whole + whole,
    }[damage]
    content = gzip.compress(spoilt) if mode == "w:gz" else spoilt
    (tmp_path / "a.tar").write_bytes(content)
    found = discover([tmp_path])
    assert content_of(found[0].source).data == b"p" * 600
    assert found[-1].refusal is not None
    assert found[-1].refusal.code is RejectCode.ARCHIVE_REFUSED
    assert found[-1].source.members == ()


def test_a_zip_that_hides_another_has_a_row_of_its_own(tmp_path):
    (tmp_path / "two.zip").write_bytes(zipped({"a": b"a"}) + zipped({"b": b"b"}))
    assert "does not list" in "".join(refusals(discover([tmp_path])).values())


def test_an_entry_that_is_called_a_folder_and_holds_data_is_read(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"folder/": b"", "image/": b"data"}))
    (item,) = discover([tmp_path])
    assert item.source.location.endswith("!image/")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_that_has_changed_gives_no_other_patients_image(tmp_path, pack):
    path = tmp_path / "a"
    path.write_bytes(pack({"healthy": b"a" * 2000}))
    (item,) = discover([path])
    path.write_bytes(pack({"ailing!": b"b" * 2000}))
    os.utime(path, ns=(0, 1))
    with pytest.raises(ImageRefusedError, match="changed"):
        content_of(item.source)
