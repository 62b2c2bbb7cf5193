from __future__ import annotations

import dataclasses
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscreen.errors import JournalError, OutputError, UnusableJournalError
from cxrscreen.reports.journal import Journal
from cxrscreen.reports.journal_file import files_of
from cxrscreen.reports.journal_rows import JournalEntry
from cxrscreen.vocabulary import Decision, RejectCode

#: Where a commit need not wait for a disk.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - no secret
CELLS = st.dictionaries(
    st.sampled_from(["source", "warnings", "view", "age_years", "probability"]),
    st.none()
    | st.text(max_size=20)
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False),
)


@st.composite
def entries(draw) -> list[JournalEntry]:
    """Draw rows as screening yields them: places in order, frames of one object together."""
    rows: list[JournalEntry] = []
    for place in range(draw(st.integers(0, 8))):
        frames = draw(st.sampled_from([1, 1, 1, 2, 3]))
        for frame in range(1, frames + 1):
            score = draw(st.none() | st.floats(-20, 20) | st.just(1.5))
            decision, code = Decision.NOT_SCREENED, draw(st.sampled_from(list(RejectCode)))
            if score is not None:
                code = None
                decision = draw(st.sampled_from([d for d in Decision if d != "NOT_SCREENED"]))
            rows.append(
                JournalEntry(
                    place=place,
                    frame=frame if frames > 1 else 0,
                    decision=decision,
                    reject_code=code,
                    probability=None if score is None else draw(st.floats(0, 1)),
                    score=score,
                    warnings=draw(st.integers(0, 3)),
                    cells=draw(CELLS),
                    identity=None if score is None else (b"", bytes([len(rows)])),
                    thumbnail=draw(st.none() | st.binary(max_size=10)),
                    ends_batch=frame == frames and draw(st.booleans()),
                )
            )
    if rows:
        rows[-1] = dataclasses.replace(rows[-1], ends_batch=True)
    return rows


def table_of(journal: Journal) -> list[tuple[object, ...]]:
    return [
        (row.number, dict(row.cells), row.warnings, row.thumbnail)
        for row in journal.finished_rows()
    ]


def begun(path: Path) -> Journal:
    journal = Journal(path)
    journal.begin({"the bundle": "a"}, b"", replaces=False)
    return journal


@settings(deadline=None, max_examples=30)
@given(rows=entries(), data=st.data())
def test_any_beginning_of_any_rows_goes_on_to_the_same_table(rows, data):
    """However often it is stopped, and copied as a crash leaves it on the disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        with begun(folder / "whole") as whole:
            for row in rows:
                whole.add(row)
            expected, counts = table_of(whole), whole.summary().by_decision
        journal = begun(folder / "0")
        place = 0
        for turn in range(1, data.draw(st.integers(1, 4)) + 1):
            remaining = [row for row in rows if row.place >= place]
            for row in remaining[: data.draw(st.integers(0, len(remaining)))]:
                journal.add(row)
                if data.draw(st.booleans()):
                    journal.commit()
            # What is on the disk at this moment is all that a crash leaves.
            for file in files_of(journal.path):
                if file.exists():
                    shutil.copy(file, folder / file.name.replace(str(turn - 1), str(turn), 1))
            journal.close()
            journal = Journal(folder / str(turn))
            journal.check()
            place = journal.done
            assert journal.rows == sum(row.place < place for row in rows)
        for row in rows:
            if row.place >= place:
                journal.add(row)
        with journal:
            assert table_of(journal) == expected
            assert journal.summary().by_decision == counts
            assert [identity[1][0] for identity, _, _ in journal.identities()] == [
                number for number, row in enumerate(rows) if row.identity
            ]


@settings(deadline=None, max_examples=30)
@given(rows=entries())
def test_the_rank_is_the_order_of_the_worklist(rows):
    order = ["POSITIVE", "INDETERMINATE", "NOT_SCREENED", "NEGATIVE"]

    def urgency(number: int) -> tuple[int, float, int]:
        row = rows[number]
        group = 4 if row.reject_code is RejectCode.DUPLICATE else order.index(row.decision.value)
        return group, -(row.score or 0.0), number

    with tempfile.TemporaryDirectory(dir=MEMORY) as name, begun(Path(name) / "j") as journal:
        for row in rows:
            journal.add(row)
        ranks = {row.number: row.cells["priority_rank"] for row in journal.finished_rows()}
        worklist = sorted(range(len(rows)), key=urgency)
        assert [ranks[number] for number in worklist] == list(range(1, len(rows) + 1))
        flagged = [n for n in worklist if rows[n].decision in {"POSITIVE", "INDETERMINATE"}]
        assert [row.number for row in journal.most_urgent(3)] == flagged[:3]


def entry(place: int, **fields: object) -> JournalEntry:
    standard = {
        "decision": Decision.NEGATIVE,
        "reject_code": None,
        "probability": 0.5,
        "score": 1.0,
    }
    named = {"source": f"{place}.png"}
    return JournalEntry(place=place, frame=0, warnings=0, cells=named, **{**standard, **fields})


def test_rows_are_durable_after_a_while_or_when_they_are_many(tmp_path):
    now = 0.0
    journal = Journal(tmp_path / "j", clock=lambda: now)
    journal.begin({}, b"", replaces=False)

    def on_disk() -> int:
        for file in files_of(journal.path):
            if file.exists():
                shutil.copy(file, tmp_path / file.name.replace("j", "copy", 1))
        with Journal(tmp_path / "copy") as copy:
            return copy.rows

    journal.add(entry(0))
    assert on_disk() == 0
    now = 3.0
    journal.add(entry(1))
    assert on_disk() == 2
    for place in range(2, 2 + 256):
        journal.add(entry(place))
    assert on_disk() == 258
    # A batch that is not whole is not kept: a run could not go on behind it.
    now = 9.0
    journal.add(entry(258, ends_batch=False))
    journal.commit()
    assert on_disk() == 258
    assert journal.seconds == 9.0
    journal.close()


def test_time_adds_up_over_the_parts_of_a_run(tmp_path):
    now = 100.0
    with Journal(tmp_path / "j", clock=lambda: now) as journal:
        journal.begin({}, b"", replaces=False)
        journal.add(entry(0))
        now = 107.0
    with Journal(tmp_path / "j", clock=lambda: now) as journal:
        now = 110.0
        assert journal.summary().seconds == pytest.approx(10.0)


def test_a_journal_without_rows_is_not_left_behind(tmp_path):
    with begun(tmp_path / "j"):
        pass
    with begun(tmp_path / "k") as journal:
        journal.add(entry(0))
    with Journal(tmp_path / "k") as journal:
        journal.remove()
    assert not os.listdir(tmp_path)


def test_only_one_process_has_it(tmp_path):
    with begun(tmp_path / "j") as journal:
        journal.add(entry(0))
        program = (
            "import sys; from pathlib import Path; from cxrscreen.reports.journal import Journal\n"
            "try:\n    Journal(Path(sys.argv[1]))\n"
            "except Exception as error:\n    print(type(error).__name__, error)"
        )
        result = subprocess.run(
            [sys.executable, "-c", program, str(journal.path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.startswith("JournalError")
        assert "another run is writing this report" in result.stdout


def test_what_was_its_own_output_may_be_replaced_after_a_crash(tmp_path):
    with begun(tmp_path / "j") as journal:
        journal.add(entry(0))
        assert not journal.may_replace(tmp_path / "r.csv")
        journal.start_writing([tmp_path / "r.csv"])
        # Not yet: what stands there now is somebody else's.
        assert not journal.may_replace(tmp_path / "r.csv")
    with Journal(tmp_path / "j") as journal:
        assert journal.may_replace(tmp_path / "r.csv")
        assert not journal.may_replace(tmp_path / "other.csv")
        journal.begin({}, b"", replaces=True)
        assert journal.may_replace(tmp_path / "other.csv")


def test_another_version_and_another_file(tmp_path):
    with begun(tmp_path / "j") as journal:
        journal.add(entry(0))
    database = sqlite3.connect(tmp_path / "j")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(UnusableJournalError, match="another version"):
        Journal(tmp_path / "j")
    sqlite3.connect(tmp_path / "notes").execute("CREATE TABLE notes (text)").connection.close()
    with pytest.raises(JournalError, match="no journal"):
        Journal(tmp_path / "notes")


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        Journal(tmp_path / "nowhere" / "j")


def test_a_row_that_was_changed_is_noticed(tmp_path):
    with begun(tmp_path / "j") as journal:
        journal.add(entry(0))
        journal.add(entry(1))
    for change in ("SET score = 2.0 WHERE number = 1", "SET number = 5 WHERE number = 1"):
        shutil.copy(tmp_path / "j", tmp_path / "changed")
        database = sqlite3.connect(tmp_path / "changed", isolation_level=None)
        database.execute(f"UPDATE rows {change}")
        database.close()
        journal = Journal(tmp_path / "changed")
        with journal, pytest.raises(UnusableJournalError, match="damaged"):
            journal.check()
