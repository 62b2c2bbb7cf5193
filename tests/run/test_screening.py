from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cxrscreen import ScreenOptions
from cxrscreen.errors import OutputError
from cxrscreen.intake import discover
from cxrscreen.reports.journal import Journal
from cxrscreen.run import FrozenInputs, ScreeningRun


@pytest.fixture
def folder(tmp_path, chest):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        pixels = np.rint(np.roll(chest, number, axis=1) * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "3.txt").write_text("text")
    return folder


def test_who_is_told_of_images_and_of_the_end(folder, packaged, tmp_path):
    frozen = FrozenInputs(discover([folder]), [folder])
    told, finished = [], []
    with Journal(tmp_path / "j") as journal:
        journal.begin({}, frozen.digests, replaces=False)
        run = ScreeningRun(
            journal,
            frozen,
            packaged,
            ScreenOptions(workers=0),
            cells=lambda row: {"source": row.record.source.location},
            thumbnail=lambda image: None if image.pixels is None else b"picture",
            observers=[lambda number, image: told.append((number, image.place, journal.rows))],
        )
        run.screen()
        # Before the row is in the journal: what it has drawn is there when the row is.
        assert told == [(0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 3, 0)]

        def refuse(_: Journal) -> None:
            message = "p.html: cannot be written"
            raise OutputError(message, hint="Make room.")

        with pytest.raises(OutputError, match=r"p\.html") as error:
            run.finish([refuse], [])
        assert "--resume" in error.value.hint
        assert journal.path.exists()
        run.finish([lambda j: finished.extend(j.finished_rows())], [])
    assert [row.thumbnail for row in finished] == [b"picture"] * 3 + [None]
    assert [row.cells["source"] for row in finished] == [str(f) for f in sorted(folder.iterdir())]
    assert not journal.path.exists()


def test_a_run_whose_rows_are_all_there_screens_nothing(folder, packaged, tmp_path, monkeypatch):
    frozen = FrozenInputs(discover([folder]), [folder])
    with Journal(tmp_path / "j") as journal:
        journal.begin({}, frozen.digests, replaces=False)
        run = ScreeningRun(journal, frozen, packaged, ScreenOptions(workers=0), lambda _: {})
        run.screen()
        assert (journal.done, journal.rows) == (4, 4)
        run.screen(pytest.fail)
        assert journal.rows == 4
