"""The pid file."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from uwsgi_router.router.app.process.pidfile import PidFile
from uwsgi_router.router.config.errors import StartError


def test_it_holds_our_id_and_is_gone_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = PidFile("router.pid")
    path = tmp_path / "router.pid"
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.chdir("/")
    file.remove()
    file.remove()
    assert not list(tmp_path.iterdir())


def test_it_replaces_the_one_of_a_dead_process(tmp_path: Path) -> None:
    path = tmp_path / "router.pid"
    path.write_text("99999999 and more\n")
    PidFile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", ["1\n", "", "\udcff"])
def test_the_one_of_our_successor_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / "router.pid"
    file = PidFile(str(path))
    path.write_bytes(os.fsencode(content))
    file.remove()
    assert path.read_bytes() == os.fsencode(content)


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("data")
    path = tmp_path / "router.pid"
    path.with_name(f"router.pid.{os.getpid()}").symlink_to(precious)
    with pytest.raises(StartError, match="File exists"):
        PidFile(str(path))
    assert precious.read_text() == "data"


def test_a_directory_that_is_missing_is_one_clear_line(tmp_path: Path) -> None:
    path = f"{tmp_path}/missing/router.pid"
    with pytest.raises(StartError, match=f"cannot write the pid file {path}: No such file"):
        PidFile(path)


WITHOUT_ROOT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.app.process.pidfile import PidFile
if os.getuid() == 0:
    os.setuid(65534)
try:
    PidFile(sys.argv[2])
    print(open(sys.argv[2]).read() == f"{os.getpid()}\\n")
except StartError as exc:
    print(exc)
"""


def test_a_file_of_ours_in_a_directory_that_is_not_is_written_in_place() -> None:
    root = str(Path(__file__).parents[4])

    def run(path: Path) -> str:
        command = [sys.executable, "-c", WITHOUT_ROOT, root, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    # Not tmp_path: its parents are closed to other users.
    with tempfile.TemporaryDirectory() as directory:
        ours = Path(directory, "ours.pid")
        ours.write_text("a long line of an older process\n")
        ours.chmod(0o666)
        Path(directory).chmod(0o555)
        assert run(ours) == "True"
        other = Path(directory, "other.pid")
        assert run(other) == f"cannot write the pid file {other}: Permission denied"
        Path(directory).chmod(0o755)
