from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cxrscreen.cli.app import app


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "\udcff"])
def test_a_site_name_that_no_file_can_hold_is_refused_before_any_work(tmp_path, name):
    out = tmp_path / "site.json"
    result = CliRunner().invoke(
        app, ["calibrate", "--data", str(tmp_path), "--out", str(out), "--name", name]
    )
    assert result.exit_code == 2
    assert result.stderr.startswith("cxrscreen: name of the site: ")
    assert result.stderr.count("\n") == 1
    assert not out.exists()


def test_a_file_name_that_is_too_long_for_a_site_is_refused_before_any_work(tmp_path):
    out = tmp_path / f"{'x' * 210}.json"
    result = CliRunner().invoke(app, ["calibrate", "--data", str(tmp_path), "--out", str(out)])
    assert result.exit_code == 2
    assert "--name" in result.stderr
