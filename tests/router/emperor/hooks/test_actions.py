"""Actions of hooks, each with what it leaves behind."""

import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.lab.vassals import need_root
from uwsgi_router.router.config.hook_values import read_hook
from uwsgi_router.router.emperor.hooks.actions import (
    HookError,
    HookExit,
    perform,
    run_hooks,
    run_program,
)

_ENVIRON = {"PATH": os.environ["PATH"]}


def do(text: str, patience: float = 10.0) -> list[str]:
    """Do it; return what it says."""
    said: list[str] = []
    perform(read_hook(text), dict(_ENVIRON), said.append, patience)
    return said


def test_files_are_written_and_appended_to(tmp_path: Path) -> None:
    file = tmp_path / "f"
    for text in (f"write:{file} long text", f"write:{file} a b", f"append:{file} c"):
        do(text)
    assert file.read_text() == "a bc"
    do(f"appendn:{file}")
    do(f"appendn:{file} d e")
    assert file.read_text() == "a bc\nd e\n"
    do(f"writen:{file} x")
    assert file.read_text() == "x\n"
    do(f"create:{file}")
    assert file.read_bytes() == b""
    do(f"unlink:{file}")
    assert not file.exists()


def test_directories_and_modes(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    do(f"mkdir:{directory}")
    do(f"chmod:{directory} 750")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o750
    do(f"sticky:{directory}")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o1750
    with pytest.raises(FileExistsError):
        do(f"mkdir:{directory}")


def test_owners(tmp_path: Path) -> None:
    need_root()
    file = tmp_path / "f"
    file.touch()
    do(f"chown2:{file} 33 34")
    assert (file.stat().st_uid, file.stat().st_gid) == (33, 34)
    do(f"chown:{file} root root")
    assert (file.stat().st_uid, file.stat().st_gid) == (0, 0)
    with pytest.raises(HookError, match="nobody-of-this-name"):
        do(f"chown:{file} nobody-of-this-name root")


def test_a_fifo_without_a_reader_is_no_failure(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    do(f"writefifo:{fifo} x")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    do(f"writefifo:{fifo} x y")
    assert os.read(reader, 100) == b"x y"
    os.close(reader)
    with pytest.raises(FileNotFoundError):
        do(f"writefifo:{tmp_path / 'none'} x")


def test_a_spinning_fifo_waits_for_its_reader(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    thread = threading.Thread(target=do, args=[f"spinningfifo:{fifo} x"])
    thread.start()
    os.mkfifo(fifo)
    assert fifo.read_bytes() == b"x"
    thread.join()


def test_commands_say_how_they_ended() -> None:
    assert do("exec:true") == []
    with pytest.raises(HookError, match="exit code 3"):
        do("exec:exit 3")
    assert do("safeexec:exit 3") == ["the command has ended (exit code 3)"]
    assert run_program(["/bin/sh", "-c", "kill -9 $$"], _ENVIRON) == -9
    assert run_program(["/nowhere"], {}) == 127


def test_variables_are_those_of_the_commands_behind_them(tmp_path: Path) -> None:
    file = tmp_path / "f"
    hooks = [read_hook("putenv:A=1=2"), read_hook(f'exec:printf "$A" > {file}')]
    environ = dict(_ENVIRON)
    run_hooks(hooks, "phase", environ, fatal=True, say=lambda _: None)
    assert (file.read_text(), environ["A"]) == ("1=2", "1=2")
    assert "A" not in os.environ


def test_lines_for_the_log() -> None:
    assert do("print:a:b") == do("log:a:b") == ["a:b"]
    assert do("print:") == [""]


@pytest.mark.parametrize(("text", "status"), [("exit:", 0), ("exit:1", 1), ("exit:30", 30)])
def test_the_end(text: str, status: int) -> None:
    with pytest.raises(HookExit) as caught:
        do(text)
    assert caught.value.status == status


def test_files_and_directories_are_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "f"
    timer = threading.Timer(0.1, file.touch)
    timer.start()
    do(f"wait_for_file:{file}")
    do(f"wait_for_fs:{tmp_path}")
    do(f"wait_for_dir:{tmp_path}")
    timer.join()
    with pytest.raises(HookError, match=r"is not there after 0\.1 s"):
        do(f"wait_for_dir:{file}", 0.1)
    with pytest.raises(HookError):
        do(f"wait_for_file:{tmp_path}", 0.1)


def test_sockets_are_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        do(f"wait_for_socket:127.0.0.1:{port}")
        do(f"wait_for_socket::{port}")
    with pytest.raises(HookError):
        do(f"wait_for_socket:127.0.0.1:{port}", 0.1)
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with pytest.raises(HookError):
            do(f"wait_for_socket:{path}", 0.1)
        server.listen()
        do(f"wait_for_socket:{path}")


def test_what_fails_ends_a_sequence_only_if_that_is_fatal(tmp_path: Path) -> None:
    file = tmp_path / "f"
    hooks = [read_hook("unlink:/nowhere/at/all"), read_hook(f"create:{file}")]
    said: list[str] = []
    with pytest.raises(HookError, match="has failed: No such file or directory"):
        run_hooks(hooks, "as-vassal", dict(_ENVIRON), fatal=True, say=said.append)
    assert not file.exists()
    run_hooks(hooks, "as-emperor", dict(_ENVIRON), fatal=False, say=said.append)
    assert file.exists()
    failed = 'hook "unlink:/nowhere/at/all" (as-emperor) has failed: No such file or directory'
    assert failed in said


# --- mounts, in a namespace of their own ---


def inside(*hooks: str) -> str:
    """Do hooks in a mount and UTS namespace of their own; return what the last line prints."""
    need_root()
    code = (
        "import sys\n"
        "from uwsgi_router.router.config.hook_values import read_hook\n"
        "from uwsgi_router.router.emperor.hooks.actions import run_hooks\n"
        "run_hooks(map(read_hook, sys.argv[1:]), 'test', {}, fatal=True, say=lambda _: None)\n"
        "print(open('/proc/self/mounts').read(), end='')"
    )
    done = subprocess.run(
        ["unshare", "--mount", "--uts", sys.executable, "-c", code, *hooks],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_file_systems_are_mounted_with_flags_and_data(tmp_path: Path) -> None:
    mounts = inside(f"mount:tmpfs none {tmp_path} nosuid,nodev size=64k,mode=711")
    line = next(one for one in mounts.splitlines() if f" {tmp_path} " in one)
    for word in ("tmpfs", "nosuid", "nodev", "size=64k", "mode=711"):
        assert word in line
    assert not os.path.ismount(tmp_path)


def test_what_is_mounted_below_goes_with_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "first" / "a b"
    first.mkdir()
    mounts = inside(
        f"mount:tmpfs none {first}",
        f"mkdir:{second}",
        f"mount:tmpfs none {first}/",
        f"umount:{first}",
        f"exec:mount -t tmpfs none '{second}'",
        f"umount:{first} rec,detach",
    )
    assert str(first) not in mounts


def test_directories_are_bound(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "file").touch()
    inside(f"mount:none {tmp_path}/a {tmp_path}/b bind", f"wait_for_file:{tmp_path}/b/file")
    assert list((tmp_path / "b").iterdir()) == []


def test_the_host_name_is_set() -> None:
    inside("hostname:elsewhere", 'exec:test "$(hostname)" = elsewhere')
    assert socket.gethostname() != "elsewhere"
