"""Finds a Python with the packages of a test: QASR_TEST_PYTHON, else the one that runs the test, else that of .venv in the source
tree."""
import importlib.util
import os
import sys
from pathlib import Path

SKIP = 77


def missing(names):
    return [name for name in names if importlib.util.find_spec(name) is None]


def find(*names):
    """Continues in a Python that has the packages; exits with 77 if there is none."""
    tried = os.environ.get("QASR_PYTHONS_TRIED", "").split(os.pathsep)
    wanted = os.environ.get("QASR_TEST_PYTHON")
    if wanted and not os.access(wanted, os.X_OK):
        sys.exit(f"QASR_TEST_PYTHON is '{wanted}', which cannot be run")
    venv = str(Path(__file__).resolve().parents[2] / ".venv" / "bin" / "python3")
    for python in [wanted] if wanted and wanted not in tried else [sys.executable, venv]:
        if python == sys.executable and not missing(names):
            return
        if python not in tried and os.access(python, os.X_OK):
            os.environ["QASR_PYTHONS_TRIED"] = os.pathsep.join([*tried, python])
            os.execv(python, [python, *sys.argv])
    print(f"skipped: Python packages missing: {' '.join(missing(names))} (tools/venv.sh installs them)")
    sys.exit(SKIP)
