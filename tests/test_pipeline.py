from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cxrscreen import ScreenOptions, admission, load_bundle, screen, summarise
from cxrscreen.config import DataConfig
from cxrscreen.data.dataset import fingerprint
from cxrscreen.data.load import load_split
from cxrscreen.evaluation.metrics import roc_auc
from cxrscreen.model.predictor import Predictor
from cxrscreen.pipeline import screen_images, screen_inputs
from cxrscreen.records import Input, Permissions, Source
from cxrscreen.vocabulary import Decision, RejectCode

HERE = ScreenOptions(workers=0)


def inputs(*paths: Path) -> list[Input]:
    return [Input(Source(path)) for path in paths]


@pytest.fixture
def pictures(tmp_path, chest) -> Path:
    """Ten inputs: every third one is no image."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(10):
        if number % 3 == 0:
            (folder / f"{number}.txt").write_text("text")
        else:
            pixels = np.rint(np.roll(chest, number) * 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_rows_keep_the_order_of_inputs(pictures, packaged):
    for batch_size in (1, 2, 100):
        rows = list(screen([pictures], packaged, ScreenOptions(batch_size=batch_size, workers=0)))
        assert [row.record.source.path.stem for row in rows] == [str(n) for n in range(10)]
        assert summarise(rows).by_reject_code == {RejectCode.NOT_AN_IMAGE: 4}


def test_one_radiograph_gives_one_probability_however_it_was_stored(make_dicom, chest, packaged):
    stored = np.rint(chest * 4095).astype(np.uint16)
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    paths = [
        make_dicom(stored, **window),
        make_dicom(4095 - stored, photometric="MONOCHROME1", **window),
        make_dicom(stored.astype(np.int32) - 2048, signed=True, WindowCenter=0, WindowWidth=4096),
        make_dicom(stored, RescaleSlope=2, RescaleIntercept=5, WindowCenter=4101, WindowWidth=8192),
        make_dicom(stored // 16, bits=8),
        make_dicom(stored * 16, bits=16, WindowCenter=32768, WindowWidth=65536),
    ]
    png = paths[0].with_name("16.png")
    Image.fromarray(stored * 16).save(png)
    jpeg = paths[0].with_name("8.jpg")
    Image.fromarray((stored // 16).astype(np.uint8)).save(jpeg, quality=97)
    rows = list(screen_inputs(inputs(*paths, png, jpeg), packaged, HERE))
    probabilities = [row.prediction.probability for row in rows]
    assert max(probabilities[:-1]) - min(probabilities[:-1]) < 0.005
    assert abs(probabilities[-1] - probabilities[0]) < 0.02


def test_a_fault_in_the_code_costs_one_row_and_shows_no_header(
    make_dicom, chest, packaged, monkeypatch, caplog
):
    stored = np.rint(chest * 4095).astype(np.uint16)
    good, bad = make_dicom(stored, name="a.dcm"), make_dicom(stored, name="b.dcm")
    real = admission.admit_pixels

    def fail_once(image, admitted):
        monkeypatch.setattr(admission, "admit_pixels", real)
        message = "SECRET^NAME"
        raise LookupError(message)

    monkeypatch.setattr(admission, "admit_pixels", fail_once)
    with caplog.at_level(logging.DEBUG):
        first, second = screen_inputs(inputs(bad, good), packaged, HERE)
    assert first.admission.code is RejectCode.INTERNAL_ERROR
    assert first.decision is Decision.NOT_SCREENED
    assert "SECRET" not in first.admission.reason + caplog.text
    assert second.prediction is not None


@pytest.mark.parametrize("broken", ["raises", "nan"])
def test_a_fault_in_the_model_is_never_negative(pictures, packaged, monkeypatch, broken):
    def logits(self, images):
        if broken == "raises":
            raise RuntimeError
        return np.full(len(images), np.nan)

    monkeypatch.setattr(Predictor, "logits", logits)
    rows = list(screen([pictures], packaged, HERE))
    assert len(rows) == 10
    assert {row.decision for row in rows} == {Decision.NOT_SCREENED}


def test_screening_leaves_torch_as_it_was(pictures, packaged):
    before = torch.get_num_threads()
    list(screen(str(pictures), packaged, HERE))
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()
    assert not any(p.grad is not None for p in packaged.network.parameters())


def test_a_batch_holds_at_least_one_image():
    with pytest.raises(ValueError, match="batch_size"):
        ScreenOptions(batch_size=0)


def test_every_file_of_the_real_collection_gets_exactly_one_row(real_data, packaged):
    folder = real_data / "dicom"
    files = [path for path in folder.rglob("*") if path.is_file()]
    rows = list(screen([folder], packaged))
    # One object has two frames, and so two rows.
    assert sorted({row.record.source.path for row in rows}) == sorted(files)
    assert len(rows) == len(files) + 1
    codes = {row.record.source.path.name: row.admission.code for row in rows}
    assert RejectCode.INTERNAL_ERROR not in codes.values()
    assert codes["dx_thorax_dog_lateral.dcm"] is RejectCode.NOT_HUMAN
    assert codes["CT_small.dcm"] is RejectCode.WRONG_MODALITY
    assert codes["rsna_850819.dcm"] is RejectCode.OUTSIDE_AGE_RANGE
    for name in ("RG2_UNC.dcm", "RG3_J2KR.dcm"):
        assert codes[name] is RejectCode.WRONG_BODY_PART
    assert {row.decision for row in rows} == {Decision.NOT_SCREENED}


def test_adult_chests_can_be_judged_on_request(real_data, packaged):
    options = ScreenOptions(permissions=Permissions(out_of_scope=True))
    rows = list(screen([real_data / "dicom" / "chest"], packaged, options))
    codes = {row.record.source.path.stem: row.admission.code for row in rows}
    # Its header says MONOCHROME1 and its pixels show that it is not.
    assert codes.pop("rsna_850819_monochrome1_header") is RejectCode.INVERTED
    assert set(codes.values()) == {None}
    assert all(any("out of scope" in text for text in row.warnings) for row in rows)


def test_the_original_pediatric_images(real_data):
    """At most one is lost, AUC at least 0.97: a check of the chain, not of the model."""
    rows = list(screen([real_data / "data" / "pediatric_cxr_originals"], load_bundle()))
    assert len(rows) == 100
    rows = [row for row in rows if row.prediction is not None]
    assert len(rows) >= 99
    labels = [int("PNEUMONIA" in row.record.source.path.parts) for row in rows]
    assert roc_auc(labels, [row.prediction.logit for row in rows]) >= 0.97


def test_the_packaged_models_own_validation_part(real_data, packaged):
    """Screened again as a user would: at least 0.98, and what the card says."""
    # The configuration of the version that made it: its data section is still valid.
    config = packaged.document.training.config
    data = DataConfig.model_validate(config["data"])
    folder = real_data / "data" / "pediatric_cxr_224" / "train"
    split = load_split(folder, data, seed=config["train"]["seed"])
    assert fingerprint(split.validation) == packaged.document.training.validation.fingerprint
    rows = list(screen_inputs(inputs(*(image.path for image in split.validation)), packaged))
    # The set holds some images twice: the second one's row points to the first one's.
    judged = {str(row.record.source): row for row in rows if row.prediction is not None}
    found = [judged.get(row.duplicate_of, row).prediction for row in rows]
    assert found.count(None) <= 0.01 * len(found)
    kept = [n for n, prediction in enumerate(found) if prediction is not None]
    auc = roc_auc([split.validation[n].label for n in kept], [found[n].logit for n in kept])
    assert auc >= 0.98
    assert auc == pytest.approx(packaged.document.metrics.auc, abs=5e-4)


def test_photographs_in_colour_are_refused(real_data, packaged):
    rows = list(screen([real_data / "data" / "not_cxr" / "photo"], packaged))
    refused = [row for row in rows if row.admission.code is RejectCode.COLOUR]
    assert len(refused) >= 0.9 * len(rows)


def test_64_pixel_images_are_refused(real_data, packaged):
    folder = real_data / "data" / "not_cxr" / "hand_64px"
    assert {row.admission.code for row in screen([folder], packaged)} == {RejectCode.TOO_SMALL}


def test_a_second_copy_is_reported_and_judged_once(make_dicom, chest, packaged, tmp_path):
    stored = np.rint(chest * 4095).astype(np.uint16)
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    first = make_dicom(stored, name="a.dcm", SOPInstanceUID="2.25.7", **window)
    copy = tmp_path / "b.dcm"
    copy.write_bytes(first.read_bytes())
    other = make_dicom(stored[:, ::-1], name="c.dcm", SOPInstanceUID="2.25.7", **window)
    resent = make_dicom(stored, name="d.dcm", SOPInstanceUID="2.25.8", **window)
    for name in ("e.png", "f.png"):
        Image.fromarray((stored >> 4).astype(np.uint8)).save(tmp_path / name)
    found = inputs(first, copy, other, resent, tmp_path / "e.png", tmp_path / "f.png")
    rows = list(screen_inputs(found, packaged, HERE))
    assert [row.admission.code for row in rows] == [
        None,
        RejectCode.DUPLICATE,
        None,
        None,
        None,
        RejectCode.DUPLICATE,
    ]
    assert rows[1].duplicate_of == str(first)
    assert "the same image" in rows[1].admission.reason
    assert rows[5].duplicate_of == str(tmp_path / "e.png")
    # A UID that stands for two images hides neither.
    assert any("SOPInstanceUID" in warning for warning in rows[2].warnings)


def test_workers_give_what_this_process_gives(pictures, packaged):
    here = list(screen([pictures], packaged, HERE))
    there = list(screen([pictures], packaged, ScreenOptions(workers=2)))
    assert [(row.record, row.admission, row.prediction) for row in here] == [
        (row.record, row.admission, row.prediction) for row in there
    ]


def test_each_frame_has_its_row(make_dicom, chest, packaged):
    stored = np.rint(chest * 4095).astype(np.uint16)
    frames = np.stack([stored, stored[:, ::-1], stored * 0])
    path = make_dicom(
        stored,
        name="frames.dcm",
        WindowCenter=2048,
        WindowWidth=4096,
        NumberOfFrames=3,
        PixelData=frames.tobytes(),
    )
    alone = [
        make_dicom(frame, WindowCenter=2048, WindowWidth=4096, SOPInstanceUID=f"2.25.9{n}")
        for n, frame in enumerate(frames)
    ]
    rows = list(screen_inputs(inputs(path), packaged, HERE))
    assert [row.record.source.frame for row in rows] == [1, 2, 3]
    assert [str(row.record.source) for row in rows] == [f"{path} frame {n}" for n in (1, 2, 3)]
    singles = list(screen_inputs(inputs(*alone), packaged, HERE))
    for row, single in zip(rows, singles, strict=True):
        assert row.prediction == single.prediction
        assert row.admission.code == single.admission.code
    assert rows[2].admission.code is RejectCode.BLANK


def test_frames_beyond_belief_are_one_row(make_dicom, chest, packaged):
    stored = np.rint(chest * 4095).astype(np.uint16)
    (row,) = screen_inputs(inputs(make_dicom(stored, NumberOfFrames=2**31 - 1)), packaged, HERE)
    assert row.admission.code is RejectCode.TOO_LARGE


def test_a_part_that_starts_behind_a_batch_is_the_rest_of_the_whole(make_dicom, chest, packaged):
    """To the last bit: logits depend on what shares a batch."""
    stored = np.rint(chest * 4095).astype(np.uint16)
    window = {"WindowCenter": 2048, "WindowWidth": 4096}

    def still(turn: int) -> Path:
        return make_dicom(np.roll(stored, turn, axis=1), name=f"{turn:02}.dcm", **window)

    def moving(turn: int, frames: int) -> Path:
        pixels = np.stack([np.roll(stored, turn + frame, axis=1) for frame in range(frames)])
        many = {"NumberOfFrames": frames, "PixelData": pixels.tobytes()}
        return make_dicom(stored, name=f"{turn:02}.dcm", **window, **many)

    paths = [still(1), moving(3, 2), moving(6, 3), moving(11, 6), still(20), still(21), still(20)]
    # A copy of an image that the first part has judged.
    found = inputs(*paths, paths[0], still(22), still(23))
    options = ScreenOptions(workers=0, batch_size=3)
    whole = list(screen_images(found, packaged, options))
    assert [image.place for image in whole] == [0, 1, 1, *[2] * 3, *[3] * 6, *range(4, 10)]
    assert sum(image.ends_batch for image in whole) >= 5
    for done, image in enumerate(whole, start=1):
        if not image.ends_batch or done == len(whole):
            continue
        assert whole[done].place == image.place + 1
        earlier = [(i.identity, str(i.row.record.source)) for i in whole[:done] if i.identity]
        rest = screen_images(found, packaged, options, earlier=earlier, start=image.place + 1)
        for again, first in zip(rest, whole[done:], strict=True):
            assert again.place == first.place
            assert again.row.prediction == first.row.prediction
            assert again.row.admission == first.row.admission
            assert again.row.duplicate_of == first.row.duplicate_of
            assert again.ends_batch == first.ends_batch


def test_of_nothing_come_no_rows(packaged):
    assert list(screen_inputs([], packaged)) == []
