from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image

from cxrscreen import load_bundle
from cxrscreen.model.bundle import CARD
from cxrscreen.model.card import model_card
from cxrscreen.model.document import PretrainedDocument
from cxrscreen.vocabulary import Decision
from tools import known_failures, refresh_cards


def test_the_card_tells_which_phantoms_are_judged_wrongly(monkeypatch, tmp_path, capsys):
    kinds = tuple(
        kind
        for kind in known_failures.KINDS
        if kind.name in {"consolidation and patches", "normal, a fiftieth of the dose"}
    )
    monkeypatch.setattr(known_failures, "KINDS", kinds)
    asked = ["cnn-pediatric", "--children", "2", "--cards", str(tmp_path / "cards")]
    monkeypatch.setattr("sys.argv", ["known_failures", *asked])
    assert known_failures.main() == 0
    said = capsys.readouterr().out
    after = load_bundle(tmp_path / "cards" / "cnn-pediatric")
    before = load_bundle("cnn-pediatric")
    assert after.model_fingerprint == before.model_fingerprint
    assert after.calibration.document == before.calibration.document
    card = (tmp_path / "cards" / "cnn-pediatric" / CARD).read_text(encoding="utf-8")
    assert said in card
    assert card.count(known_failures.HEADING) == 1

    found = known_failures.look(after, children=2)
    assert [one.kind for one in found] == list(kinds)
    for one in found:
        right = Decision.POSITIVE if one.kind.pneumonia else Decision.NEGATIVE
        wrong = {place for place in one.judged if one.rows[place].decision is not right}
        assert set(one.wrong) == wrong
        counted = re.search(rf"\| {one.kind.name} \| \w+ \| (\d+) of (\d+) \|", card)
        assert counted is not None
        assert [int(number) for number in counted.groups()] == [len(wrong), len(one.judged)]
    if any(one.wrong for one in found):
        picture = np.asarray(Image.open(io.BytesIO(known_failures.draw(found))).convert("L"))
        assert picture.std() > 20
        assert known_failures.PICTURE in after.document.files


def test_the_phantoms_of_a_kind_are_the_same_every_time():
    kind = known_failures.KINDS[0]
    first, again, other = (known_failures.radiograph(kind, number) for number in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_card_tells_which_stages_began_with_other_weights(packaged):
    document, calibration = packaged.document, packaged.calibration

    def card(stages: tuple[str, ...]) -> str:
        start = PretrainedDocument(source="first.safetensors", sha256="0" * 64, filled=stages)
        training = document.training.model_copy(update={"pretrained": start})
        return model_card(document.model_copy(update={"training": training}), calibration)

    every = document.network.stages
    some = card(every[:2])
    assert f"`first.safetensors` in {every[0]}, {every[1]}\n" in some
    assert "the other stages began fresh" in some
    whole = card(every)
    assert "`first.safetensors` in every stage\n" in whole
    assert "fresh" not in whole


def test_a_card_says_of_which_weights_the_kept_ones_are_the_mean(packaged):
    document = packaged.document
    config = document.training.config
    config = {**config, "train": {**config["train"], "averaged_phases": [0, 2, 3]}}
    training = document.training.model_copy(update={"config": config})
    card = model_card(document.model_copy(update={"training": training}), packaged.calibration)
    said = (
        "the mean of the weights at the start, the end of phase 2 and the end of phase 3 was kept"
    )
    assert said in " ".join(card.split())


def test_a_refreshed_card_says_more_and_decides_the_same(monkeypatch, tmp_path, real_data, capsys):
    data = real_data / "data" / "pediatric_cxr_224" / "train"
    asked = ["cnn-pediatric", "--data", str(data), "--cards", str(tmp_path / "cards")]
    monkeypatch.setattr("sys.argv", ["refresh_cards", *asked])
    assert refresh_cards.main() == 0
    before, after = load_bundle("cnn-pediatric"), load_bundle(tmp_path / "cards" / "cnn-pediatric")
    assert after.model_fingerprint == before.model_fingerprint
    assert after.calibration.document == before.calibration.document
    metrics = after.document.metrics
    low, high = metrics.auc_interval
    assert low < metrics.auc == before.document.metrics.auc < high
    card = (tmp_path / "cards" / "cnn-pediatric" / CARD).read_text(encoding="utf-8")
    assert f"{low:.4f} to {high:.4f}" in card
    assert "cxrscreen calibrate --bundle cnn-pediatric" in card
    # A second time it is refused, and what is there stays.
    assert refresh_cards.main() == 2
    assert "exists already" in capsys.readouterr().err
    assert load_bundle(tmp_path / "cards" / "cnn-pediatric").sha256 == after.sha256
