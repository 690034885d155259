"""``serve`` on a bare machine: nothing but this package, an empty directory, next to no environment, any user."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.lab.place import Place
from tests.lab.processes import Process, free_port
from tests.lab.waiting import wait_until
from tests.test_wheels import build

pytestmark = pytest.mark.sources

# What pyproject.toml names, and what that needs.
DEPENDENCIES = ("h11", "prometheus-client", "uvloop", "wsproto")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
VERSION = "python{}.{}".format(*sys.version_info)


def usable_by(who: tuple[str, ...], python: str) -> bool:
    """Return True if a user can run this Python, and it is of our version."""
    code = "import sys, venv; print('python{}.{}'.format(*sys.version_info))"
    try:
        said = subprocess.run(
            [*who, python, "-c", code], capture_output=True, text=True, cwd="/", check=False
        )
    except FileNotFoundError:
        return False
    return said.stdout.strip() == VERSION


@pytest.fixture(scope="module")
def bare() -> Iterator[Path]:
    """A directory that everybody may enter, with a virtual environment ``env`` that has the wheel, and no pip."""
    directory = Path(tempfile.mkdtemp(prefix="bare-"))
    directory.chmod(0o755)
    try:
        done = build(directory, UWSGI_ROUTER_COMPILE="0")
        assert done.returncode == 0, done.stderr
        (wheel,) = directory.glob("*.whl")
        base = os.path.realpath(sys.executable)
        everybodys = (f"/usr/bin/{VERSION}", f"/usr/local/bin/{VERSION}", base)
        root = os.geteuid() == 0 and shutil.which("setpriv")
        python = next((one for one in everybodys if root and usable_by(NOBODY, one)), base)
        env = directory / "env"
        make = [python, "-m", "venv", "--without-pip", str(env)]
        subprocess.run(make, check=True, capture_output=True)
        pip = [sys.executable, "-m", "pip", "--python", str(env / "bin/python")]
        options = ("--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
        subprocess.run([*pip, "install", *options, str(wheel)], check=True, capture_output=True)
        for name in DEPENDENCIES:
            copy(name, env / "lib" / VERSION / "site-packages")
        yield directory
    finally:
        shutil.rmtree(directory)


def copy(name: str, site: Path) -> None:
    """Copy a package that the tests have, as the registry is not to be asked for it."""
    for file in distribution(name).files or ():
        if ".." not in file.parts and file.suffix != ".pyc":
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)


class Machine:
    """A user of the machine, in an empty directory of his own."""

    def __init__(self, lab: Place, bare: Path, who: tuple[str, ...]) -> None:
        self._lab = lab
        home = Path(tempfile.mkdtemp(dir=bare))
        if who:
            os.chown(home, 65534, 65534)
        path = f"PATH={bare}/env/bin:/usr/bin:/bin"
        # Where sockets would be otherwise all users of the machine share them, tests included.
        self.sockets = home / "t"
        self._start = (*who, "env", "-i", "-C", str(home), path, f"TMPDIR={self.sockets}")
        subprocess.run([*self._start, "mkdir", str(self.sockets)], check=True)

    def run(self, *arguments: str) -> Process:
        return self._lab.program(arguments[0], *self._start, "uwsgi-router", *arguments)


@pytest.fixture(params=["ourselves", "nobody"])
def machine(request: pytest.FixtureRequest, lab: Place, bare: Path) -> Machine:
    if request.param == "ourselves":
        return Machine(lab, bare, ())
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root becomes nobody, with setpriv")
    if not usable_by(NOBODY, str(bare / "env/bin/python")):
        pytest.skip(f"{sys.executable} can't be run by others, and there is no other {VERSION}")
    return Machine(lab, bare, NOBODY)


def status_of(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
            return int(answer.status)
    except (urllib.error.URLError, ConnectionError):
        return 0


def test_the_first_example_answers(machine: Machine) -> None:
    port = free_port()
    command = ("python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1")
    listen = ("--http", f"127.0.0.1:{port}", "--pidfile", "serve.pid")
    served = machine.run("serve", *listen, "--", *command)
    wait_until(lambda: status_of(port) == 200, "it answers", 30)
    rollout = machine.run("rollout", "serve.pid")
    assert (rollout.wait(30), rollout.output()) == (0, "rolled out 1 application\n")
    assert status_of(port) == 200
    served.signal(signal.SIGTERM)
    assert served.wait(30) == 0
    assert "Traceback" not in served.output()
    left = [path for path in machine.sockets.rglob("*") if not path.is_dir()]
    assert left == []


def test_where_nothing_may_be_written_one_line_says_so(lab: Place, bare: Path) -> None:
    apart = ("unshare", "--mount", "--map-root-user")
    if subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount name spaces here")
    # The environment with the package lies below one of them.
    full = " && ".join(f"mount -t tmpfs -o ro none {one}" for one in ("/var/tmp", "/run"))
    read_only = f"mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp && {full}"
    clean = f"exec env -i -C /proc PATH={bare}/env/bin:/usr/bin:/bin"
    for command in ("serve --http 127.0.0.1:0 -- true", "status", "rollout"):
        script = f"{read_only} && {clean} uwsgi-router {command}"
        done = subprocess.run(
            [*apart, "sh", "-c", script], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        if command.startswith("serve"):
            assert "there is no directory for sockets: " in done.stderr
            assert "name one with TMPDIR" in done.stderr
