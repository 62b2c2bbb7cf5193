"""The audit finds what was planted, and nothing in sound data."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from cxrscreen.config import DataConfig
from cxrscreen.data.audit.duplicates import joined, local_contrast, same_pictures
from cxrscreen.data.audit.findings import Kind, as_json
from cxrscreen.data.audit.measure import Unreadable, measure, measure_all, sharpness
from cxrscreen.data.audit.parts import with_parts
from cxrscreen.data.audit.shortcuts import Verdict
from cxrscreen.data.audit.study import audit
from cxrscreen.data.load import load_labelled
from cxrscreen.errors import DatasetError
from tests.data.audit_images import CLASSES, DeadlyPath, labelled, name, texture, write_images


def run(images, **options):
    return audit(images, data="data", classes=CLASSES, **options)


def kinds(found):
    return {finding.kind for finding in found.report.findings}


def verdicts(found):
    return {cue.name: cue.verdict for cue in found.report.shortcuts}


def test_sound_data_have_no_finding(tmp_path):
    images = write_images(tmp_path)
    found = run(images)
    assert found.report.findings == ()
    assert found.report.images == 28
    assert found.report.patients == 28
    assert set(verdicts(found).values()) <= {Verdict.WEAK, Verdict.NOTICEABLE}
    assert len(found.report.nearest) == 6
    assert found.report.nearest[0].correlation < found.report.same_picture


def test_a_planted_blur_is_a_strong_shortcut(tmp_path):
    found = run(write_images(tmp_path, blurs=(0.8, 2.5)))
    assert kinds(found) == {Kind.SHORTCUTS}
    sharp = next(cue for cue in found.report.shortcuts if cue.name == "sharpness")
    assert sharp.verdict is Verdict.STRONG
    assert sharp.higher == 0
    assert sharp.medians[0] > sharp.medians[1]
    assert sharp.low <= sharp.auc <= sharp.high
    assert verdicts(found)["mean"] is not Verdict.STRONG


def test_a_mark_on_the_border_is_found_by_border_pixels_alone(tmp_path):
    images = write_images(tmp_path, per_class=30)
    for image in images:
        if image.label:
            pixels = np.array(Image.open(image.path))
            pixels[:5, 20:50] = 200
            Image.fromarray(pixels).save(image.path)
    found = run(images)
    assert found.report.shortcuts[0].name == "border"
    assert found.report.shortcuts[0].verdict is Verdict.STRONG


def test_another_format_for_one_class_is_a_shortcut_and_stands_out(tmp_path):
    images = write_images(tmp_path)
    for position, image in enumerate(images):
        if image.label:
            path = image.path.with_suffix(".jpg")
            Image.open(image.path).save(path, quality=90)
            images[position] = replace(image, path=path)
    found = run(images)
    assert verdicts(found)["encoding"] is Verdict.STRONG
    formats = next(p for p in found.report.properties if p.name == "Format")
    assert {(v.value, v.images, v.differs) for v in formats.values} == {
        ("PNG", (14, 0), True),
        ("JPEG", (0, 14), True),
    }
    compressions = next(p for p in found.report.properties if p.name == "Compression")
    assert "quality 90" in {v.value for v in compressions.values}


def test_few_patients_give_no_verdict(tmp_path):
    found = run(write_images(tmp_path, per_class=4, blurs=(0.8, 2.5)))
    assert verdicts(found)["sharpness"] is Verdict.UNCLEAR
    assert kinds(found) == set()
    assert any("too few patients" in note for note in found.report.notes)


def test_many_images_of_few_patients_give_no_verdict(tmp_path):
    images = write_images(tmp_path, blurs=(0.8, 2.5))
    images = [replace(image, patient_key=f"{image.label}-{image.name[-5]}") for image in images]
    assert verdicts(run(images))["sharpness"] is Verdict.UNCLEAR


def test_equal_files_with_both_labels_and_in_two_parts(tmp_path):
    images = write_images(tmp_path)
    shutil.copy(images[0].path, tmp_path / name(1, 99))
    images = [replace(image, part="train") for image in images]
    images.append(labelled(tmp_path, 1, 99, part="test"))
    found = run(images)
    assert kinds(found) == {Kind.DUPLICATES, Kind.LABELS, Kind.LEAKAGE}
    (group,) = found.report.duplicates
    assert group.same == "bytes"
    assert group.across_labels
    assert group.across_parts
    assert group.across_patients
    assert {image.name for image in group.images} == {images[0].name, name(1, 99)}
    assert {image.name for image in group.images} <= found.pictures.keys()


def copy_as(path, target, change):
    change(Image.open(path)).save(target)


def jpeg(quality):
    def change(image):
        stream = BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream)

    return change


@pytest.mark.parametrize(
    "change",
    [
        jpeg(30),
        lambda image: image.resize((48, 48), Image.Resampling.BILINEAR),
        lambda image: image.point(lambda v: 255 * (v / 255) ** 1.3),
        lambda image: image.filter(ImageFilter.GaussianBlur(1)),
        lambda image: image.convert("RGB"),
    ],
    ids=["jpeg", "half", "gamma", "blur", "colour"],
)
def test_a_changed_copy_of_the_same_patient_is_a_duplicate(tmp_path, change):
    images = write_images(tmp_path)
    copy_as(images[3].path, tmp_path / name(0, 3, 2), change)
    found = run([*images, labelled(tmp_path, 0, 3, 2)])
    (group,) = found.report.duplicates
    assert group.same == "picture"
    assert group.correlation < 1
    assert not any((group.across_labels, group.across_parts, group.across_patients))
    assert kinds(found) == {Kind.DUPLICATES}


def test_equal_and_changed_copies_make_one_group(tmp_path):
    images = write_images(tmp_path)
    shutil.copy(images[3].path, tmp_path / name(0, 3, 2))
    copy_as(images[3].path, tmp_path / name(0, 3, 3), jpeg(50))
    found = run([*images, labelled(tmp_path, 0, 3, 2), labelled(tmp_path, 0, 3, 3)])
    (group,) = found.report.duplicates
    assert len(group.images) == 3
    assert group.same == "picture"


def test_a_patient_in_two_parts_and_one_of_both_classes(tmp_path):
    images = write_images(tmp_path)
    images = [replace(i, part="train" if n % 2 else "val") for n, i in enumerate(images)]
    images[1] = replace(images[1], patient_key=images[0].patient_key)
    images[20] = replace(images[20], patient_key=images[2].patient_key, part=images[2].part)
    found = run(images)
    assert kinds(found) == {Kind.LEAKAGE}
    (leak,) = found.report.patients_across_parts
    assert (leak.patient, leak.images) == (images[0].patient_key, {"train": 1, "val": 1})
    (both,) = found.report.patients_with_both_labels
    assert both.images == {"NORMAL": 1, "PNEUMONIA": 1}
    assert "1 patient with images of both classes" in found.report.notes


def test_unreadable_images_are_named_and_the_rest_is_audited(tmp_path):
    images = write_images(tmp_path)
    images[4].path.write_bytes(b"no image")
    images[5].path.unlink()
    found = run(images)
    assert kinds(found) == {Kind.UNREADABLE}
    assert [u.image.name for u in found.report.unreadable] == [images[4].name, images[5].name]
    assert "NOT_AN_IMAGE" in found.report.unreadable[0].reason
    assert len(found.labels) == 26


@pytest.mark.parametrize("label", [0, 1])
def test_a_class_of_which_nothing_can_be_read(tmp_path, label):
    images = write_images(tmp_path, per_class=3)
    for image in images:
        if image.label == label:
            image.path.write_bytes(b"")
    found = run(images)
    assert found.report.shortcuts == ()
    assert found.samples[label] == ()


def test_nothing_can_be_read(tmp_path):
    images = write_images(tmp_path, per_class=2)
    for image in images:
        image.path.write_bytes(b"")
    found = run(images)
    assert len(found.report.unreadable) == 4
    assert found.report.duplicates == ()


def test_dicom_files_tell_their_transfer_syntax_and_bits(tmp_path, make_dicom):
    stored = (texture(1).astype(np.uint16) * 16)[:80]
    found = measure(make_dicom(stored, WindowCenter=2048, WindowWidth=4096))
    assert (found.width_px, found.height_px) == (96, 80)
    assert str(found.encoding) == "DICOM, 12 bits, Explicit VR Little Endian, 1 channel"


def test_a_tiff_tells_its_compression(tmp_path):
    path = tmp_path / "image.tif"
    Image.fromarray(texture(1)).save(path, compression="tiff_lzw")
    assert str(measure(path).encoding) == "TIFF, 8 bits, tiff_lzw, 1 channel"


@pytest.mark.parametrize("quality", [10, 50, 75, 92])
def test_the_quality_of_a_jpeg_is_told(tmp_path, quality):
    path = tmp_path / "image.jpg"
    Image.fromarray(texture(1)).convert("RGB").save(path, quality=quality, subsampling="4:2:2")
    assert measure(path).encoding.compression == f"quality {quality}, 4:2:2"


def test_processes_measure_what_this_one_does(tmp_path):
    images = write_images(tmp_path, per_class=20)
    images[7].path.write_bytes(b"no image")
    paths = [image.path for image in images]
    done = []
    here, there = measure_all(paths), measure_all(paths, workers=2, on_done=done.append)
    assert sum(done) == len(paths)
    assert [type(m) for m in here] == [type(m) for m in there]
    assert isinstance(there[7], Unreadable)
    for one, other in zip(here, there, strict=True):
        if not isinstance(one, Unreadable):
            assert one.sha256 == other.sha256
            assert np.array_equal(one.thumbnail, other.thumbnail)


def test_a_process_that_dies_costs_its_image(tmp_path):
    images = write_images(tmp_path, per_class=20)
    paths = [image.path for image in images]
    paths[33] = DeadlyPath(paths[33])
    found = measure_all(paths, workers=1)
    assert [n for n, m in enumerate(found) if isinstance(m, Unreadable)] == [33]
    assert found[33].reason == "the process that read it died"


def test_sharpness_by_hand():
    pixels = np.zeros((3, 4), dtype=np.float32)
    pixels[1, 1] = 1.0
    # The Laplacian of the two inner pixels is -4 and 1.
    assert sharpness(pixels) == pytest.approx(2.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_the_search_in_blocks_finds_the_pairs_of_the_whole_matrix(count, seed):
    rng = np.random.default_rng(seed)
    thumbnails = rng.integers(0, 256, (count, 8, 8), dtype=np.uint8)
    vectors = local_contrast(thumbnails)
    whole = np.triu(vectors @ vectors.T, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxrscreen.data.audit.duplicates._BLOCK", 7)
        found = same_pictures(thumbnails, threshold=0.2, nearest=3)
    assert {(p.first, p.second) for p in found.same} == set(zip(*np.nonzero(whole >= 0.2)))  # noqa: B905
    below = np.sort(whole[(whole < 0.2) & (whole > 0)])[::-1][:3]
    assert [p.correlation for p in found.nearest] == pytest.approx(below, abs=1e-6)


def test_pictures_of_one_grey_resemble_nothing():
    assert same_pictures(np.full((5, 32, 32), 7, dtype=np.uint8)).same == ()


def test_pairs_that_share_an_image_are_one_group():
    assert joined([(0, 4), (4, 2), (1, 5)], 6) == ((0, 2, 4), (1, 5))
    assert joined([], 6) == ()


def test_the_audit_repeats(tmp_path):
    images = write_images(tmp_path)
    first, second, other = (as_json(run(images, seed=seed).report) for seed in (1, 1, 2))
    assert first == second != other
    assert json.loads(first)["schema_version"] == 1


def test_parts_of_a_broken_split_file_are_read(tmp_path):
    images = write_images(tmp_path / "data", per_class=2)
    rows = [(image.name, "train") for image in images[:3]] + [(images[0].name, "validation")]
    lines = ["path,part", *(f"data/{path},{part}" for path, part in rows), "data/gone.png,train"]
    (tmp_path / "split.csv").write_text("\n".join(lines))
    found, notes = with_parts(images, tmp_path / "split.csv")
    assert [(image.name, image.part) for image in found] == [
        (images[0].name, "train"),
        (images[0].name, "validation"),
        (images[1].name, "train"),
        (images[2].name, "train"),
        (images[3].name, None),
    ]
    assert len(notes) == 2
    assert Kind.LEAKAGE in kinds(run(found))


def test_nothing_leaks_to_images_in_no_part(tmp_path):
    images = write_images(tmp_path)
    shutil.copy(images[0].path, tmp_path / name(0, 0, 2))
    images = [replace(image, part="train") for image in images]
    found = run([*images, labelled(tmp_path, 0, 0, 2)])
    assert kinds(found) == {Kind.DUPLICATES}
    assert found.report.parts == ("train", "in no part")
    assert found.report.counts[-1].images == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"path,label\na.png,0\n", "no column part"),
        (b"", "no column path and no column part"),
        (b"path,part\nelsewhere.png,train\n", "names none"),
        (b"path,part\n\xff\xfe\n", "UTF-8"),
    ],
)
def test_a_file_that_is_no_split_file_is_refused(tmp_path, content, said):
    images = write_images(tmp_path / "data", per_class=1)
    (tmp_path / "split.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        with_parts(images, tmp_path / "split.csv")
    with pytest.raises(DatasetError, match="No such file"):
        with_parts(images, tmp_path / "none.csv")


def test_file_size_alone_separates_the_pediatric_training_set(real_data):
    images = load_labelled(real_data / "data" / "pediatric_cxr_224" / "train", DataConfig())
    # Every sixth patient: the whole set takes a minute.
    keys = sorted({image.patient_key for image in images})[::6]
    report = run([image for image in images if image.patient_key in set(keys)], workers=2).report
    size = next(cue for cue in report.shortcuts if cue.name == "file_bytes")
    assert size.auc == pytest.approx(0.90, abs=0.02)
    assert size.low < 0.90 < size.high
    assert size.verdict is Verdict.STRONG
    assert size.higher == 0
    assert not any(group.across_labels for group in report.duplicates)
