"""Splits in memory and in files: nothing of one part is in another."""

from __future__ import annotations

import csv
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.config import DataConfig
from cxrscreen.data.content import content_ids, joined_groups, sha256_of_all
from cxrscreen.data.dataset import LabelledData, LabelledImage
from cxrscreen.data.load import load_labelled, load_split, read_split
from cxrscreen.data.partition import OUR_PARTS, partition
from cxrscreen.data.split import Split
from cxrscreen.data.split_file import is_our_split_file, is_split_file, write_split_file
from cxrscreen.errors import DatasetError, OutputError

CONFIG = DataConfig(patient_pattern=r"^(p\d+)", validation_fraction=0.25, calibration_fraction=0.25)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Twelve patients of each class with two images each."""
    for number in range(24):
        place = tmp_path / "data" / ("NORMAL" if number % 2 else "PNEUMONIA")
        place.mkdir(parents=True, exist_ok=True)
        for k in (1, 2):
            (place / f"p{number}-{k}.png").write_text(f"{number} {k}")
    return tmp_path / "data"


def contents(part: tuple[LabelledImage, ...]) -> set[bytes]:
    return {image.path.read_bytes() for image in part}


def keys(part: tuple[LabelledImage, ...]) -> set[str]:
    return {image.patient_key for image in part}


def saved(folder: Path, out: Path) -> Path:
    images = load_labelled(folder, CONFIG)
    hashes = sha256_of_all([image.path for image in images])
    split, _ = partition(LabelledData(images), hashes, CONFIG, seed=3)
    write_split_file(out, split, {i.name: h for i, h in zip(images, hashes, strict=True)})
    return out


def edited(path: Path, **cells: str) -> Path:
    """Change cells of the first row of training."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    next(row for row in rows if row["part"] == "training").update(cells)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


# --- what belongs together


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_groups_are_the_smallest_that_keep_patients_and_contents_whole(edges):
    patients, held = [f"p{p}" for p, _ in edges], [f"c{c}" for _, c in edges]
    groups = joined_groups(patients, held)
    # The oracle: merge until nothing changes.
    expected = list(patients)
    changed = True
    while changed:
        changed = False
        for i in range(len(edges)):
            for j in range(len(edges)):
                same = patients[i] == patients[j] or held[i] == held[j]
                if same and expected[j] < expected[i]:
                    expected[i], changed = expected[j], True
    assert list(groups) == expected


@given(st.lists(st.binary(min_size=1, max_size=2), max_size=12))
def test_content_ids_are_equal_where_contents_are(tmp_path_factory, files):
    root = tmp_path_factory.mktemp("files")
    paths = [root / str(number) for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    ids = content_ids(paths)
    for i, one in enumerate(files):
        for j, other in enumerate(files):
            assert (ids[i] == ids[j]) == (one == other)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 3), min_size=40, max_size=60),
    copies=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 150)), max_size=5),
    tested=st.lists(st.integers(0, 39), max_size=3),
    seed=st.integers(0, 3),
)
def test_no_patient_no_copy_and_no_test_image_leaks(counts, copies, tested, seed):
    images = [
        LabelledImage(
            Path(f"{p}-{k}"), f"{p}-{k}", p % 2, f"p{p}", part="test" if p in tested else None
        )
        for p, count in enumerate(counts)
        for k in range(count)
    ]
    held = [image.name for image in images]
    for one, other in copies:
        held[one % len(held)] = held[other % len(held)]
    split, _ = partition(LabelledData(tuple(images)), held, CONFIG, seed=seed)
    content = {image.name: c for image, c in zip(images, held, strict=True)}
    test_contents = {c for image, c in zip(images, held, strict=True) if image.part}
    seen_keys: set[str] = set()
    seen_contents: set[str] = set()
    for part in split.parts().values():
        ours = {content[image.name] for image in part}
        assert not ours & (seen_contents | test_contents)
        assert not keys(part) & seen_keys
        assert not any(image.part for image in part)
        seen_keys |= keys(part)
        seen_contents |= ours
    again, _ = partition(LabelledData(tuple(images)), held, CONFIG, seed=seed)
    assert again == split
    if not tested:
        assert sum(map(len, split.parts().values())) == len(images)


def test_copies_under_two_patients_share_a_part(folder):
    for number in range(1, 24, 2):
        # Each normal patient shares a file with the next one: all are one group.
        copy = folder / "NORMAL" / f"p{(number + 2) % 24}-copy.png"
        copy.write_bytes((folder / "NORMAL" / f"p{number}-1.png").read_bytes())
    with pytest.raises(DatasetError, match="fewer than 4 patients"):
        load_split(folder, CONFIG, seed=0)
    for number in range(7, 24, 2):
        (folder / "NORMAL" / f"p{number}-copy.png").unlink()
    (folder / "NORMAL" / "p1-copy.png").unlink()
    loaded = read_split(folder, CONFIG, seed=0)
    where = {key: name for name, part in loaded.split.parts().items() for key in keys(part)}
    assert len({where[key] for key in ("p1", "p3", "p5")}) == 1
    assert loaded.notes == (
        "images that are byte for byte equal to another one, put into one part: 4",
    )


def test_one_content_in_both_classes_is_said(folder):
    (folder / "NORMAL" / "p1-1.png").write_bytes((folder / "PNEUMONIA" / "p0-1.png").read_bytes())
    notes = read_split(folder, CONFIG, seed=0).notes
    assert "of these, contents that are labelled both ways: 1" in notes


def test_the_test_part_of_the_data_is_left_out(folder, tmp_path):
    root = tmp_path / "kaggle"
    for part in ("train", "test"):
        for name in ("NORMAL", "PNEUMONIA"):
            (root / part / name).mkdir(parents=True)
    for file in folder.rglob("*.png"):
        (root / "train" / file.parent.name / file.name).write_bytes(file.read_bytes())
    (root / "test" / "NORMAL" / "p90-1.png").write_text("new")
    (root / "test" / "PNEUMONIA" / "p91-1.png").write_text("0 1")  # also in train, as p0-1
    loaded = read_split(root, CONFIG, seed=0)
    images = [image for part in loaded.split.parts().values() for image in part]
    assert len(images) == 48 - 2
    assert "p0" not in {image.patient_key for image in images}
    assert loaded.notes == (
        "left out, because the data keep them for testing: 2",
        "left out, as patients or copies of those kept for testing: 2",
    )


# --- the file


def test_a_split_comes_back_as_it_was_written(folder, tmp_path):
    out = saved(folder, tmp_path / "split.csv")
    assert is_split_file(out)
    assert is_our_split_file(out)
    # Whatever seed and fractions say.
    back = load_split(out, DataConfig(), seed=99)
    here = load_split(folder, CONFIG, seed=3)
    for name, part in back.parts().items():
        assert [replace(i, part=None, path=i.path.resolve()) for i in part] == list(
            here.parts()[name]
        )
        assert {image.part for image in part} == {name}
    assert len(load_labelled(out, DataConfig())) == 48


def test_the_file_is_a_table_that_other_programs_read(folder, tmp_path):
    with saved(folder, tmp_path / "split.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 48
    for row in rows:
        content = (tmp_path / row["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert row["path"].startswith("data/")
        assert row["part"] in OUR_PARTS
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)


def test_everything_that_is_known_of_an_image_is_kept(tmp_path):
    images = [
        LabelledImage(tmp_path / f"{n}", f"{n}", n % 2, f"p{n}", 3.25, "F", "AP", 'a, "b"')
        for n in range(4)
    ]
    for image in images:
        image.path.write_text(image.name)
    split = Split(training=tuple(images[:2]), validation=tuple(images[2:]))
    hashes = {
        i.name: h for i, h in zip(images, sha256_of_all([i.path for i in images]), strict=True)
    }
    write_split_file(tmp_path / "s.csv", split, hashes)
    back = load_split(tmp_path / "s.csv", DataConfig(), seed=0)
    assert back.training == tuple(replace(i, part="training") for i in images[:2])
    assert back.calibration == ()


def test_paths_are_found_through_a_link_to_the_folder(folder, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    out = saved(folder, tmp_path / "link" / "split.csv")
    assert len(load_split(out, DataConfig(), seed=0).training) == len(
        load_split(tmp_path / "deep" / "er" / "split.csv", DataConfig(), seed=0).training
    )


def test_a_name_that_a_spreadsheet_would_run(tmp_path):
    for number in range(4):
        (tmp_path / f"=p{number}").write_text(str(number))
    images = [LabelledImage(tmp_path / f"=p{n}", f"=p{n}", n % 2, f"p{n}") for n in range(4)]
    split = Split(training=tuple(images[:2]), validation=tuple(images[2:]))
    hashes = {
        i.name: h for i, h in zip(images, sha256_of_all([i.path for i in images]), strict=True)
    }
    write_split_file(tmp_path / "s.csv", split, hashes)
    assert "\n./=p0," in (tmp_path / "s.csv").read_text()
    assert load_split(tmp_path / "s.csv", DataConfig(), seed=0).training[0].name == "=p0"


def test_a_name_that_is_no_text_is_refused(folder, tmp_path):
    (folder / "NORMAL" / "p1-1.png").rename(folder / "NORMAL" / os.fsdecode(b"p1-\xff.png"))
    with pytest.raises(DatasetError, match="no UTF-8"):
        saved(folder, tmp_path / "split.csv")
    assert not (tmp_path / "split.csv").exists()


def test_another_table_is_not_replaced(folder, tmp_path):
    (tmp_path / "t.csv").write_text("path,label,patient\n")
    images = load_labelled(folder, CONFIG)
    split = load_split(folder, CONFIG, seed=0)
    with pytest.raises(OutputError, match="something else"):
        write_split_file(tmp_path / "t.csv", split, {i.name: "" for i in images}, force=True)


# --- what no longer holds


def test_a_changed_file_is_named(folder, tmp_path):
    out = saved(folder, tmp_path / "split.csv")
    (folder / "NORMAL" / "p7-2.png").write_text("another")
    with pytest.raises(DatasetError, match=r"p7-2\.png has changed since") as raised:
        load_split(out, DataConfig(), seed=0)
    assert "data split" in raised.value.hint
    (folder / "NORMAL" / "p9-2.png").write_text("another")
    with pytest.raises(DatasetError, match=r"\(the first of 2\)"):
        load_split(out, DataConfig(), seed=0)


def test_a_missing_file_is_named(folder, tmp_path):
    out = saved(folder, tmp_path / "split.csv")
    (folder / "NORMAL" / "p7-2.png").unlink()
    with pytest.raises(DatasetError, match=r"p7-2\.png is not there"):
        load_split(out, DataConfig(), seed=0)


def test_a_patient_in_two_parts_is_an_error(folder, tmp_path):
    out = saved(folder, tmp_path / "split.csv")
    other = next(iter(load_split(out, DataConfig(), seed=0).validation))
    edited(out, patient=other.patient_key)
    with pytest.raises(DatasetError, match="leaks: images of one patient are in") as raised:
        load_split(out, DataConfig(), seed=0)
    assert other.name in raised.value.message
    # To look at it is no error: that is what an audit is for.
    assert len(load_labelled(out, DataConfig())) == 48


def test_a_copy_in_another_part_is_an_error(folder, tmp_path):
    out = saved(folder, tmp_path / "split.csv")
    split = load_split(out, DataConfig(), seed=0)
    (copy,) = split.training[:1]
    copy.path.write_bytes(split.calibration[0].path.read_bytes())
    edited(out, sha256=hashlib.sha256(copy.path.read_bytes()).hexdigest())
    with pytest.raises(DatasetError, match="leaks: copies of one image are in"):
        load_split(out, DataConfig(), seed=0)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"part": "test"}, "row 2: the part is none of training"),
        ({"part": ""}, "the part is none of"),
        ({"sha256": "0" * 63}, "sha256 is none"),
        ({"sha256": "g" * 64}, "sha256 is none"),
        ({"label": "3"}, "the label is none"),
    ],
)
def test_a_damaged_row_is_named(folder, tmp_path, cells, said):
    out = edited(saved(folder, tmp_path / "split.csv"), **cells)
    with pytest.raises(DatasetError, match=said.replace("row 2: ", r"row \d+: ")):
        load_split(out, DataConfig(), seed=0)


def test_a_part_without_a_class_is_an_error(folder, tmp_path):
    out = saved(folder, tmp_path / "split.csv")
    lines = out.read_text().splitlines()
    kept = [line for line in lines if not (",1," in line and ",validation," in line)]
    out.write_text("\n".join(kept) + "\n")
    with pytest.raises(DatasetError, match="the validation part lacks a class"):
        load_split(out, DataConfig(), seed=0)


def test_parts_of_our_names_without_contents_are_not_pooled(folder, tmp_path):
    out = saved(folder, tmp_path / "split.csv")
    rows = [line.rsplit(",", 1)[0] for line in out.read_text().splitlines()]
    out.write_text("\n".join(rows) + "\n")
    with pytest.raises(DatasetError, match="parts of its own") as raised:
        load_split(out, CONFIG, seed=0)
    assert "sha256" in raised.value.hint


def test_a_limit_takes_whole_patients_of_both_classes_and_says_so(folder):
    config = CONFIG.model_copy(update={"limit_images": 32})
    loaded = read_split(folder, config, seed=3)
    used = [image for part in loaded.split.parts().values() for image in part]
    assert len(used) == 32
    assert sum(image.label for image in used) == 16
    # Two images each: nobody is torn apart.
    assert len({image.patient_key for image in used}) == 16
    assert "left out by data.limit_images: 16" in loaded.notes
    assert read_split(folder, config, seed=3).split == loaded.split
    everything = CONFIG.model_copy(update={"limit_images": 1000})
    assert read_split(folder, everything, seed=3).split == load_split(folder, CONFIG, seed=3)


def test_a_split_file_is_read_whatever_layout_it_was_made_from(folder, tmp_path):
    path = saved(folder, tmp_path / "split.csv")
    made_from = CONFIG.model_copy(update={"layout": "folders"})
    split = load_split(path, made_from, seed=0)
    assert split == load_split(path, CONFIG, seed=0)
    assert {image.part for image in load_labelled(path, made_from)} == set(OUR_PARTS)


def write_table(path: Path, folder: Path, patient: str, part: str) -> Path:
    rows = ["path,label,patient,part"]
    for number, file in enumerate(sorted(folder.rglob("*.png"))):
        key = patient if number == 0 else file.name.split("-")[0]
        named = part if number % 5 else "val"
        rows.append(f"{file.as_posix()},{int('PNEU' in file.parent.name)},{key},{named}")
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_parts_of_somebody_else_are_pooled_and_it_is_said(folder, tmp_path):
    path = write_table(tmp_path / "table.csv", folder, "p1", "train")
    assert read_split(path, CONFIG, seed=0).notes == (
        "parts of the data that are pooled and split anew: train, val",
    )
    capital = write_table(tmp_path / "capital.csv", folder, "p1", "Training")
    with pytest.raises(DatasetError, match="parts of its own"):
        read_split(capital, CONFIG, seed=0)


def test_two_spellings_of_one_name_are_one_patient(folder, tmp_path):
    composed = write_table(tmp_path / "composed.csv", folder, "Zo\u00eb", "train")
    taken_apart = write_table(tmp_path / "apart.csv", folder, "Zoe\u0308", "train")
    patients = [keys(load_labelled(path, CONFIG)) for path in (composed, taken_apart)]
    assert patients[0] == patients[1]
