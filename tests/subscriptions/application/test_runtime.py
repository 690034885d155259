"""Directories of supervisors: private, and found again by their own user only."""

import os
import socket
from pathlib import Path

from uwsgi_router.subscriptions.application import runtime


def listening(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    return sock


def environ(directory: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(directory)}


def test_a_directory_of_somebody_elses_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "uwsgi-router").symlink_to(tmp_path)
    path = str(tmp_path / "serve-4000000.sock")
    with listening(path):
        assert path not in runtime.control_paths(environ(tmp_path))
        assert runtime.control_path_of(environ(tmp_path), 4_000_000) is None


def test_sockets_that_a_killed_supervisor_has_left_are_removed(tmp_path: Path) -> None:
    ended, listened, starting = (
        str(tmp_path / f"serve-{name}.sock") for name in ("4000001", "4000002", str(os.getpid()))
    )
    others = [str(tmp_path / name) for name in ("serve-4000003.sock", "serve-x.sock", "notes")]
    for path in (ended, starting):
        listening(path).close()
    for path in others:
        Path(path).write_text("no socket")
    (tmp_path / "serve-4000004.sock").symlink_to("nowhere")
    with listening(listened):
        runtime.remove_stale(str(tmp_path))
        left = set(os.listdir(tmp_path))
    kept = {Path(path).name for path in (listened, starting, *others)}
    assert left == {*kept, "serve-4000004.sock"}


def test_sockets_are_found_while_somebody_listens(tmp_path: Path) -> None:
    (tmp_path / "uwsgi-router").mkdir(mode=0o700)
    path = str(tmp_path / "uwsgi-router" / "serve-4000000.sock")
    with listening(path):
        assert path in runtime.control_paths(environ(tmp_path))
        assert runtime.control_path_of(environ(tmp_path), 4_000_000) == path
    assert path not in runtime.control_paths(environ(tmp_path))
