from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.errors import ImageRefusedError, InputNotFoundError, NothingToScreenError
from cxrscreen.intake.content import Content
from cxrscreen.intake.search.discover import discover
from cxrscreen.intake.search.walk import as_paths
from cxrscreen.intake.sniff import sniff
from cxrscreen.vocabulary import RejectCode, SourceKind


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_every_file_once_in_a_stable_order(tmp_path):
    fill(tmp_path, "b/2.dcm", "b/1.dcm", "a.txt", "c/d/e/.hidden", "b/10.dcm")
    found = [item.source.path.relative_to(tmp_path).as_posix() for item in discover([tmp_path])]
    assert found == ["a.txt", "b/1.dcm", "b/10.dcm", "b/2.dcm", "c/d/e/.hidden"]


def test_a_file_given_twice_is_one_input(tmp_path):
    fill(tmp_path, "a", "b")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert len(discover([tmp_path, tmp_path / "a", tmp_path])) == 2


def test_loops_of_links_end(tmp_path):
    fill(tmp_path, "sub/a")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert [item.source.path.name for item in discover([tmp_path])] == ["a"]


def test_a_broken_link_is_an_input_of_its_own(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (item,) = discover([tmp_path])
    with pytest.raises(ImageRefusedError) as caught:
        sniff(Content(item.source.path))
    assert caught.value.code is RejectCode.UNREADABLE_FILE


def test_the_runs_own_output_is_no_input(tmp_path):
    fill(tmp_path, "a", "report.csv")
    found = discover([tmp_path], exclude=[tmp_path / "report.csv"])
    assert [item.source.path.name for item in found] == ["a"]


def test_a_folder_that_cannot_be_listed_is_an_input(tmp_path, monkeypatch):
    fill(tmp_path, "open/a", "shut/b")
    listing = os.scandir

    def scandir(folder: str):
        if folder.endswith("shut"):
            raise PermissionError
        return listing(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [item.source.path.name for item in discover([tmp_path])] == ["a", "shut"]
    with pytest.raises(ImageRefusedError, match="cannot be listed"):
        sniff(Content(tmp_path / "shut"))


def test_missing_path_and_empty_folder(tmp_path):
    with pytest.raises(InputNotFoundError, match="nowhere"):
        discover([tmp_path / "nowhere"])
    with pytest.raises(NothingToScreenError):
        discover([tmp_path])


def test_a_path_beyond_the_systems_limit_is_an_input(tmp_path):
    deep = tmp_path
    start = Path.cwd()
    try:
        for _ in range(25):
            os.chdir(deep)
            Path("d" * 200).mkdir()
            deep = Path("d" * 200)
        found = discover([tmp_path])
    finally:
        os.chdir(start)
    assert len(found) == 1
    with pytest.raises(ImageRefusedError) as caught:
        sniff(Content(found[0].source.path))
    assert caught.value.code is RejectCode.UNREADABLE_FILE


def test_one_path_may_be_given_alone(tmp_path):
    assert as_paths(str(tmp_path)) == as_paths(tmp_path) == as_paths([tmp_path]) == (tmp_path,)
    with pytest.raises(InputNotFoundError, match="empty"):
        as_paths("")


def test_a_deep_tree_does_not_exhaust_the_stack(tmp_path):
    deep = tmp_path.joinpath(*["d"] * 900)
    os.makedirs(deep)  # noqa: PTH103 - Path.mkdir recurses
    fill(deep, "a")
    assert len(discover([tmp_path])) == 1


@settings(max_examples=30, deadline=None)
@given(
    st.sets(st.text("ab/", min_size=1, max_size=6).map(lambda t: f"f{t.strip('/')}x"), max_size=9)
)
def test_as_many_inputs_as_files(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("tree")
    files = set()
    for name in sorted(names):
        path = folder / "/".join(f"{part}_" for part in name.split("/")[:-1]) / name.split("/")[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        files.add(path)
    if files:
        assert {item.source.path for item in discover([folder])} == files


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xff\xd8\xff\xe0rest", SourceKind.JPEG),
        (b"\x89PNG\r\n\x1a\nrest", SourceKind.PNG),
        (b"\0" * 128 + b"DICM", SourceKind.DICOM),
        (b"", SourceKind.OTHER),
        (b"hello", SourceKind.OTHER),
        (b"\x08\x00" + b"\xff" * 2000, SourceKind.OTHER),
    ],
)
def test_content_decides_not_the_name(tmp_path, content, kind):
    path = tmp_path / "image.dcm"
    path.write_bytes(content)
    assert sniff(Content(path)) is kind


def test_dicom_without_preamble_is_recognised(make_dicom):
    path = make_dicom()
    path.write_bytes(path.read_bytes()[132:])
    assert sniff(Content(path)) is SourceKind.DICOM


def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageRefusedError) as caught:
        sniff(Content(tmp_path / "pipe"))
    assert caught.value.code is RejectCode.NOT_AN_IMAGE


@pytest.mark.slow
def test_a_million_files_take_less_than_a_gigabyte(tmp_path):
    for folder in range(100):
        (tmp_path / f"study-{folder:04}").mkdir()
        for number in range(10_000):
            name = f"study-{folder:04}/1.2.840.113619.2.5.{number:032}.dcm"
            os.close(os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY))
    code = (
        "import resource, sys, time\n"
        "from pathlib import Path\n"
        "from cxrscreen.intake import discover\n"
        "started = time.monotonic()\n"
        "found = discover([Path(sys.argv[1])])\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(len(found), peak // 1024, round(time.monotonic() - started))\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    ).stdout
    count, megabytes, seconds = map(int, output.split())
    sys.stdout.write(f"{count} files: {megabytes} MB, {seconds} s\n")
    assert count == 1_000_000
    assert megabytes < 1000
