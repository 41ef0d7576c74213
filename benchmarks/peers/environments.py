"""Make a separate environment, by venv and pip, for each of the other libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
KOCHAT = "kochat"
REQUIREMENTS = {"trl-ppo": HERE / "requirements-trl-ppo.txt", "trl": HERE / "requirements-trl.txt"}


def python_of(environment: str, given: dict[str, str]) -> str:
    """Return the Python interpreter of an environment; make it if it is missing or its requirements have changed.

    Args:
        environment: kochat (this process's own) or a key of `REQUIREMENTS`.
        given: environment -> interpreter to use instead; the variable KOCHAT_BENCH_PYTHON_TRL_PPO (or _TRL) does the same.
    """
    if environment == KOCHAT:
        return sys.executable
    variable = "KOCHAT_BENCH_PYTHON_" + environment.upper().replace("-", "_")
    chosen = given.get(environment) or os.environ.get(variable)
    return chosen or str(made(environment))


def made(environment: str) -> Path:
    """Create benchmarks/.venv-NAME by plain venv and pip, which honours PIP_FIND_LINKS and the like; return its python."""
    folder = HERE.parent / f".venv-{environment}"
    requirements, stamp = REQUIREMENTS[environment], folder / "installed.txt"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not stamp.is_file() or stamp.read_text() != requirements.read_text():
        print(f"making {folder} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(requirements)], check=True)
        stamp.write_text(requirements.read_text())
    return python
