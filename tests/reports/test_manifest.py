from __future__ import annotations

import getpass
import json
import platform
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cxrscreen.errors import InputNotFoundError, OutputError, PredictionsError
from cxrscreen.output import is_manifest
from cxrscreen.reports.manifest import (
    RunManifest,
    manifest_of,
    read_manifest,
    report_files,
    this_host,
    versions,
    write_manifest,
)
from cxrscreen.vocabulary import Decision, Phi, RejectCode


def manifest(**parts: object) -> RunManifest:
    values = {
        "cxrscreen_version": "1.0",
        "phi": Phi.PSEUDONYM,
        "pseudonym_key": "0" * 16,
        "options": {"--limit": 3, "--glob": ["*.dcm"]},
        "model": {
            **dict.fromkeys(("bundle", "model", "preprocessing", "engine"), "x"),
            **dict.fromkeys(("bundle_sha256", "calibration_sha256", "guarantee"), "x"),
            "operating_point": "p",
            "threshold_logit": -1.0,
        },
        "inputs": {"count": 3, "sha256": "a" * 64, "left_out": {"--limit": 2}},
        "counts": {
            "rows": 4,
            "by_decision": {Decision.POSITIVE: 1, Decision.NOT_SCREENED: 3},
            "by_reject_code": {RejectCode.BLANK: 3},
        },
        "reports": [],
        "times": {
            "started": datetime(2026, 1, 1, tzinfo=UTC),
            "ended": datetime(2026, 1, 2, tzinfo=UTC),
            "seconds": 3.5,
            "resumed": 1,
        },
        "host": this_host(),
        "versions": versions(),
    }
    return RunManifest.model_validate(values | parts)


def test_what_was_written_is_read_back(tmp_path):
    path = manifest_of(tmp_path / "report.csv")
    assert path.name == "report.run.json"
    write_manifest(path, manifest())
    assert read_manifest(path) == manifest()
    assert is_manifest(path)
    with pytest.raises(OutputError, match="exists already"):
        write_manifest(path, manifest())
    write_manifest(path, manifest(phi=Phi.NONE), force=True)
    assert read_manifest(path).phi is Phi.NONE


def test_another_file_is_not_replaced(tmp_path):
    path = tmp_path / "report.run.json"
    path.write_text('{"kind": "notes of mine"}')
    with pytest.raises(OutputError, match="something else"):
        write_manifest(path, manifest(), force=True)


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"rows": 5}, "5 inputs but decisions"),
        ({"by_reject_code": {RejectCode.BLANK: 2}}, "3 refused but codes"),
        ({"rows": -1}, "greater than or equal to 0"),
    ],
)
def test_counts_add_up(tmp_path, counts, why):
    with pytest.raises(ValueError, match=why):
        manifest(counts=manifest().counts.model_dump() | counts)
    path = tmp_path / "m.run.json"
    write_manifest(path, manifest())
    content = json.loads(path.read_text())
    content["counts"] |= counts
    path.write_text(json.dumps(content))
    with pytest.raises(PredictionsError, match="is no manifest of a run: counts") as caught:
        read_manifest(path)
    assert len(caught.value.one_line().splitlines()) == 1


def test_no_input_is_without_a_row():
    with pytest.raises(ValueError, match="4 rows of 5 inputs"):
        manifest(inputs={"count": 5, "sha256": "a" * 64, "left_out": {}})


def test_what_is_no_manifest_is_refused(tmp_path):
    with pytest.raises(InputNotFoundError):
        read_manifest(tmp_path / "none")
    for content in (b"", b"[]", b"\xff", b'{"kind": "cxrscreen run"}'):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(PredictionsError, match="is no manifest"):
            read_manifest(tmp_path / "x")


def test_a_report_is_named_with_its_size(tmp_path):
    (tmp_path / "r.csv").write_bytes(b"abc")
    (found,) = report_files({tmp_path / "r.csv": "b" * 64})
    assert (found.name, found.bytes) == ("r.csv", 3)


def test_the_host_has_no_names():
    host = this_host()
    text = host.model_dump_json()
    assert host.cores >= 1
    assert host.memory_bytes > 1 << 20
    for name in (platform.node(), getpass.getuser(), str(Path.home())):
        assert len(name) < 4 or name not in text
    assert versions()["python"] == platform.python_version()
    assert versions(["no-such-package"]) == {"python": platform.python_version()}
