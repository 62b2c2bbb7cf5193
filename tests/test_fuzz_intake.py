from __future__ import annotations

import re
import subprocess
import sys
from random import Random

import pytest

from tools import fuzz_intake
from tools.fuzz_seeds import all_seeds
from tools.mutations import BY_FAMILY

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the study measures by /proc"
)


@pytest.fixture(scope="module")
def seeds():
    return all_seeds()


def test_every_kind_of_file_is_a_seed(seeds):
    assert {seed.family for seed in seeds} == set(BY_FAMILY)
    assert len(seeds) > 20


def test_the_same_seed_spoils_the_same_files(seeds, tmp_path):
    spoilt = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (batch,) = fuzz_intake.spoil(20, 4, seeds, tmp_path / name)
        spoilt.append([item.path.read_bytes() for item in batch])
    assert spoilt[0] == spoilt[1]


def test_every_mutation_spoils_something(seeds):
    rng = Random(2)  # noqa: S311 - the same every time
    for family, mutations in BY_FAMILY.items():
        fitting = [seed for seed in seeds if seed.family == family]
        for mutation in set(mutations):
            seed = rng.choice([seed for seed in fitting if "deflated" not in seed.name])
            assert any(mutation(rng, seed) != seed.data for _ in range(10))


@linux_only
def test_a_reader_that_dies_or_hangs_is_reported_and_the_study_goes_on(seeds, tmp_path):
    reader = fuzz_intake.Reader(tmp_path)
    (tmp_path / "sound").mkdir()
    (tmp_path / "batch").mkdir()
    try:
        (dead,) = reader.ask({"die": "abort"}, 5)
        assert "died" in dead["dead"]
        (hung,) = reader.ask({"die": "hang"}, -85)
        assert hung["dead"] == "hung"
        path = tmp_path / "batch" / "a.bin"
        path.write_bytes(seeds[0].data)
        (answer,) = reader.ask({"file": str(path), "like": "none"}, 30)
        assert answer["code"] == ""
    finally:
        reader.stop()


@linux_only
def test_sixty_spoilt_files_are_read_without_a_failure(capsys):
    code = fuzz_intake.main(["--count", "60", "--seed", "12"])
    out = capsys.readouterr().out
    # Members of archives and frames have rows of their own.
    counts = re.search(r"60 files, (\d+) rows, 0 failures", out)
    assert counts is not None, out
    assert (code, int(counts[1]) >= 60) == (0, True)


@linux_only
@pytest.mark.slow
def test_hundreds_of_spoilt_files_are_read_without_a_failure(tmp_path):
    done = subprocess.run(
        [sys.executable, "tools/fuzz_intake.py", "--count", "600", "--keep", str(tmp_path)],
        cwd=fuzz_intake.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
