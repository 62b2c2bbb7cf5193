from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "monai", "ignite", "pydicom", "SimpleITK", "pandas", "sklearn", "matplotlib")
PROGRAM = """
import sys
from cxrscreen.cli.app import main
sys.argv = ["cxrscreen", *sys.argv[1:]]
try:
    main()
finally:
    loaded = [name for name in {heavy!r} if name in sys.modules]
    print("LOADED", loaded, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["screen", "--help"],
        ["inspect", "--help"],
        ["explain", "--help"],
        ["train", "--help"],
        ["calibrate", "--help"],
        ["evaluate", "--help"],
        ["compare", "--help"],
        ["drift", "--help"],
        ["data", "--help"],
        ["data", "split", "--help"],
        ["data", "preview", "--help"],
        ["--version"],
    ],
)
def test_help_does_not_pay_for_heavy_imports(arguments):
    program = PROGRAM.format(heavy=HEAVY)
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert "LOADED []" in result.stderr
    assert "cxrscreen" in result.stdout


def test_the_package_itself_imports_nothing_heavy():
    program = f"import sys, cxrscreen; print([n for n in {HEAVY!r} if n in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [["screen"], ["screen", "x"], ["nonsense"], ["screen", "x", "--nonsense"]]
)
def test_wrong_usage_is_exit_code_2(arguments):
    result = subprocess.run(
        [sys.executable, "-m", "cxrscreen", *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
