from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from typer.testing import CliRunner

from cxrscreen.cli.app import app
from cxrscreen.explain import activation_map
from cxrscreen.intake import open_image
from cxrscreen.maps import MapMaker
from cxrscreen.preprocess import resize, to_radiograph, to_tensor
from cxrscreen.records import Source

SECRETS = ("SECRET", "20200711", "JANE", "Hospital")


def run(*arguments: object):
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


@pytest.fixture(scope="module")
def sick(pool, tmp_path_factory):
    """Stored values of a phantom that the packaged model finds positive."""
    path = tmp_path_factory.mktemp("sick") / "sick.png"
    pool.save(path, 1.0)
    with Image.open(path) as image:
        return np.asarray(image.convert("L")).astype(np.uint16) * 16


@pytest.fixture
def image(make_dicom, sick):
    return make_dicom(
        sick,
        ImagerPixelSpacing=[0.4, 0.4],
        WindowCenter=2048,
        WindowWidth=4096,
        PatientBirthDate="20200711",
        InstitutionName="Hospital of JANE",
        name="JANE.dcm",
    )


def test_picture_and_arrays_of_a_judged_image(image, packaged, tmp_path):
    picture, array, bare = (tmp_path / name for name in ("map.png", "map.npz", "map.npy"))
    result = run(image, "--out", picture, "--array", array)
    assert result.exit_code == 0
    assert "POSITIVE, probability" in result.stdout
    assert "recall-0.95" in result.stdout
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 640
    pixels = open_image(Source(image)).read_pixels().pixels
    expected = activation_map(packaged, to_tensor(pixels, packaged.spec))
    with np.load(array, allow_pickle=False) as held:
        assert held["activation"].shape == pixels.shape
        np.testing.assert_array_equal(held["network_activation"], expected)
        np.testing.assert_allclose(held["pixel_mm"], [0.4, 0.4])
        assert held["geometry"].size == 0
        assert str(held["method"]) == "Grad-CAM++"
        half = held["activation"]
        texts = [str(held[name]) for name in held]
    # Without --force neither is replaced; with it both are, but nothing of somebody else's.
    for option, path in (("--out", picture), ("--array", array)):
        before = path.read_bytes()
        assert run(image, option, path).exit_code == 2
        assert path.read_bytes() == before
    again = run(image, "--out", picture, "--array", bare, "--force")
    assert again.exit_code == 0
    whole = np.load(bare, allow_pickle=False)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, to_radiograph(expected, pixels.shape, packaged.spec))
    np.testing.assert_allclose(half, whole, atol=5e-4)
    # Nothing of the patient is in any of them.
    for written in (picture, array, bare):
        content = written.read_bytes()
        assert not any(secret.encode() in content for secret in SECRETS)
    assert not any(secret in text for text in texts for secret in SECRETS)


def test_a_refused_image_has_a_reason_and_no_picture(make_dicom, sick, tmp_path):
    result = run(make_dicom(sick, PatientAge="040Y"), "--out", tmp_path / "map.png")
    assert result.exit_code == 3
    assert "NOT_SCREENED: OUTSIDE_AGE_RANGE: age 40" in result.stdout
    assert not (tmp_path / "map.png").exists()


def test_a_member_of_an_archive_is_named_as_in_the_report(image, tmp_path):
    archive = tmp_path / "export.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.write(image, "a/image.dcm")
    result = run(f"{archive}!a/image.dcm", "--out", tmp_path / "map.png")
    assert result.exit_code == 0
    assert "export.zip!a/image.dcm" in result.stdout
    assert (tmp_path / "map.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing is asked for"),
        (("--out", "map.jpg"), "no name of a PNG"),
        (("--array", "map.txt"), "no name of an array"),
        (("--out", "map.png", "--frame", 2), "holds 1 image"),
    ],
)
def test_wrong_usage_is_one_line(image, monkeypatch, tmp_path, arguments, told):
    monkeypatch.chdir(tmp_path)
    result = run(image, *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_is_no_earlier_output_is_not_replaced(image, tmp_path):
    picture, array = tmp_path / "map.png", tmp_path / "map.npz"
    Image.new("L", (300, 300)).save(picture)
    np.savez(array, other=np.zeros(3))
    for option, path in (("--out", picture), ("--array", array)):
        before = path.read_bytes()
        result = run(image, option, path, "--force")
        assert result.exit_code == 2
        assert "something else than an earlier output" in result.stderr
        assert path.read_bytes() == before


def test_pixels_that_were_not_square_are_told_of(make_dicom, sick, tmp_path):
    path = make_dicom(sick[::2], ImagerPixelSpacing=[0.8, 0.4], WindowCenter=2048, WindowWidth=4096)
    assert run(path, "--array", tmp_path / "map.npz").exit_code == 0
    with np.load(tmp_path / "map.npz", allow_pickle=False) as held:
        assert held["activation"].shape[0] == 2 * sick[::2].shape[0]
        np.testing.assert_allclose(held["pixel_mm"], [0.4, 0.4])
        assert "square pixels" in str(held["geometry"][0])


def test_random_weights_give_another_map_and_the_same_weights_the_same(sick, packaged):
    """The sanity check of Adebayo et al. (NeurIPS 2018): a map must depend on the weights."""
    pixels = sick.astype(np.float32) / 4095
    seen = resize(pixels, packaged.spec)[0].numpy()
    maps = [MapMaker(packaged)(seen, pixels.shape) for _ in range(2)]
    np.testing.assert_array_equal(maps[0].radiograph, maps[1].radiograph)
    state = {name: value.clone() for name, value in packaged.network.state_dict().items()}
    generator = torch.Generator().manual_seed(11)
    correlations = []
    try:
        for _ in range(5):
            for parameter in packaged.network.parameters():
                spread = float(parameter.detach().std()) if parameter.numel() > 1 else 1.0
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.data = spread * noise
            found = MapMaker(packaged)(seen, pixels.shape)
            if found is not None:
                rank = spearmanr(found.network.ravel(), maps[0].network.ravel())
                correlations.append(float(rank.statistic))
    finally:
        packaged.network.load_state_dict(state)
    assert len(correlations) >= 3
    assert np.mean(np.abs(correlations)) < 0.5
    # And they are back.
    np.testing.assert_array_equal(MapMaker(packaged)(seen, pixels.shape).network, maps[0].network)
