"""PyPI's autobahntestsuite: a Python 2.7 to run it, its installation, one run of its client.

It pins all it needs to versions that still work with Python 2.7, and pip 19 installs them. It goes
into ``.peers/autobahn`` by ``PYTHONUSERBASE``: with ``pip install --target``, zope's namespace
package would not be found.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VERSION = "25.10.1"
ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / ".peers" / "autobahn"


class Missing(Exception):
    """Something that the suite needs is not there; ``str()`` says what to do."""


def python27() -> str:
    """Return the path of a Python 2.7 with pip: PYTHON27, PATH's, or one of pyenv's.

    Raises:
        Missing: if there is none.
    """
    candidates = [os.environ.get("PYTHON27"), shutil.which("python2.7")]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates += [str(path) for path in sorted(pyenv.glob("versions/2.7*/bin/python2.7"))]
    for candidate in filter(None, candidates):
        # pyenv's shim is there for versions that are not active, and then fails.
        tried = subprocess.run(
            [candidate, "-m", "pip", "--version"], capture_output=True, check=False
        )
        if tried.returncode == 0:
            return candidate
    raise Missing("no Python 2.7 with pip: install one (pyenv install 2.7.18) or set PYTHON27")


def install(python: str) -> None:
    """Install the suite, once.

    Raises:
        Missing: if pip fails.
    """
    wanted = f"import pkg_resources as p; p.require('autobahntestsuite=={VERSION}')"
    if subprocess.run(
        [python, "-c", wanted], env=_environment(), capture_output=True, check=False
    ).returncode:
        sys.stderr.write(f"installing autobahntestsuite {VERSION} into {BASE}\n")
        BASE.mkdir(parents=True, exist_ok=True)
        command = [python, "-m", "pip", "install", "--user", "--disable-pip-version-check"]
        command += ["--no-warn-script-location", f"autobahntestsuite=={VERSION}"]
        done = subprocess.run(
            command, env=_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Missing(f"autobahntestsuite can't be installed:\n{done.stderr[-2000:]}")


def run(
    python: str, agent: str, address: str, cases: Sequence[str], directory: Path
) -> dict[str, dict[str, Any]]:
    """Play the cases against ``address``; return what came of each.

    Args:
        python: of Python 2.7.
        agent: what the reports call it.
        address: ``host:port``.
        cases: as Autobahn writes them: ``1.*``, ``7.1.1``.
        directory: for its reports, which it writes as HTML too.
    """
    directory.mkdir(parents=True, exist_ok=True)
    specification = {
        "outdir": str(directory),
        "servers": [{"agent": agent, "url": f"ws://{address}"}],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path = directory / "fuzzingclient.json"
    path.write_text(json.dumps(specification))
    log = directory / "wstest.log"
    command = [python, "-m", "autobahntestsuite.wstest", "-m", "fuzzingclient", "-s", str(path)]
    with log.open("wb") as output:
        done = subprocess.run(
            command, env=_environment(), stdout=output, stderr=subprocess.STDOUT, check=False
        )
    index = directory / "index.json"
    if done.returncode or not index.exists():
        raise RuntimeError(f"wstest failed; see {log}:\n{log.read_text()[-2000:]}")
    found: dict[str, dict[str, Any]] = json.loads(index.read_text())[agent]
    return found


def _environment() -> dict[str, str]:
    unwanted = {"PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    environment["PYTHONUSERBASE"] = str(BASE)
    return environment
