"""Start of a vassal's process: what it has, what it has not, and how a start fails."""

import os
import resource
import signal
import socket
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab.vassals import Report, Vassals, need_root, vassals
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.emperor import EXILE
from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.hook_values import MOUNT_FLAGS, UMOUNT_FLAGS, read_hook
from uwsgi_router.router.emperor import kernel
from uwsgi_router.router.emperor.child import start_vassal
from uwsgi_router.router.emperor.command import VassalLaunch, launch_of
from uwsgi_router.router.emperor.vassal_file import VassalFile

USER = 33
_SETPCAP = 8


class Bench:
    """An Emperor's side: starts vassals, has their pipes and their output."""

    def __init__(self, vassals: Vassals) -> None:
        self.vassals = vassals
        self.pids: list[int] = []
        self.output, self._writer = os.pipe()
        self._sockets: list[socket.socket] = []

    def launch(self, *lines: str, owner: int = 0, **config: Any) -> VassalLaunch:
        """Return the launch of a vassal with these lines."""
        path = self.vassals.put("one.ini", *lines, owner=(owner, owner) if owner else None)
        place = str(self.vassals.place)
        file = VassalFile("one.ini", place, str(path), 1.0, owner, owner, place)
        environ = {"PATH": os.environ["PATH"], **self.vassals.environ}
        config.setdefault("wrapper", str(self.vassals.fake))
        return launch_of(file, EmperorConfig(**config), environ, ["uwsgi"])

    def start(self, launch: VassalLaunch, stdin: int | None = None) -> socket.socket:
        """Start it; return the Emperor's end of the pipe."""
        ours, theirs = socket.socketpair()
        ours.settimeout(15.0)
        with theirs:
            self.pids.append(start_vassal(launch, theirs.fileno(), stdin, self._writer))
        self._sockets.append(ours)
        return ours

    def start_apart(self, launch: VassalLaunch, user: int = 0) -> socket.socket:
        """Start it in an Emperor's process of its own, which waits for it: there are threads in this one."""
        ours, theirs = socket.socketpair()
        ours.settimeout(15.0)
        self._sockets.append(ours)
        emperor = os.fork()
        if not emperor:
            code = 1
            try:
                ours.close()
                if user:
                    os.setgroups([])
                    os.setgid(user)
                    os.setuid(user)
                pid = start_vassal(launch, theirs.fileno(), None, self._writer)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            finally:
                os._exit(code)
        self.pids.append(emperor)
        theirs.close()
        return ours

    def started(
        self, launch: VassalLaunch, stdin: int | None = None, *, apart: bool = False, user: int = 0
    ) -> Report:
        """Start it; return what it has written down."""
        pipe = self.start_apart(launch, user) if apart else self.start(launch, stdin)
        if pipe.recv(1) != b"\x01":
            raise AssertionError(f"it did not start: {self.said()}")
        return self.vassals.report("one.ini")

    def status(self) -> int:
        """Wait for the end of the last one; return its exit status."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pids.pop(), 0)[1])

    def said(self, most: int = 65_536) -> str:
        """Return what vassals have printed so far."""
        os.set_blocking(self.output, False)
        try:
            return os.read(self.output, most).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for sock in self._sockets:
            sock.close()
        os.close(self.output)
        os.close(self._writer)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with vassals() as directory:
        one = Bench(directory)
        yield one
        one.close()


def test_it_has_a_session_and_nothing_but_its_pipe(bench: Bench) -> None:
    secret = os.open("/", os.O_RDONLY)
    os.set_inheritable(secret, True)
    report = bench.started(bench.launch())
    os.close(secret)
    pipe = report["environ"]["UWSGI_EMPEROR_FD"]
    assert report["descriptors"]["0"] == "/dev/null"
    assert report["descriptors"][pipe].startswith("socket:")
    extra = set(report["descriptors"].values()) - {"/dev/null", report["descriptors"][pipe]}
    assert extra == {report["descriptors"]["1"]}
    assert report["descriptors"]["1"] == report["descriptors"]["2"]
    assert report["pid"] == report["sid"] == bench.pids[0]
    assert report["cwd"] == str(bench.vassals.place)
    # Python itself ignores these two.
    python = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    # The C library's own, which no program can set, are as whoever started the tests has left them.
    own = 1 << 32 - 1 | 1 << 33 - 1
    assert (report["blocked"], report["ignored"] & ~own) == (0, python)


def test_the_argument_vector_is_the_one_of_the_launch(bench: Bench) -> None:
    report = bench.started(bench.launch(vassal_settings=("a=b",), vassals_include=("/x.ini",)))
    assert report["argv"][1:] == ["--set", "a=b", "--ini", "one.ini", "--include", "/x.ini"]


def test_an_on_demand_socket_is_its_standard_input(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        report = bench.started(bench.launch("accepts = yes"), listener.fileno())
        assert report["descriptors"]["0"].startswith("socket:")
        with socket.create_connection(listener.getsockname()) as client:
            assert client.makefile().readline() == f"{report['pid']}\n"


def test_the_limit_of_descriptors_is_the_one_before_the_emperor_raised_its_own(
    bench: Bench,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = "import resource, sys; sys.exit(resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 64)"
    launch = replace(bench.launch(), argvs=[[sys.executable, "-c", code]], open_files=64)
    bench.start(launch)
    assert bench.status() == 0
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


# --- what is executed ---


def test_what_can_not_be_executed_is_passed_over(bench: Bench) -> None:
    launch = bench.launch(
        wrapper_overrides=("/nowhere/1",),
        wrapper="/nowhere/2",
        wrapper_fallbacks=("/etc/passwd", str(bench.vassals.fake)),
    )
    bench.started(launch)
    said = bench.said()
    assert "cannot execute /nowhere/1: No such file" in said
    assert "cannot execute /nowhere/2: No such file" in said
    assert "cannot execute /etc/passwd: Permission denied" in said


def test_overrides_come_first(bench: Bench) -> None:
    bench.started(bench.launch(wrapper_overrides=(str(bench.vassals.fake),), wrapper="/nowhere"))
    assert bench.said() == ""


def test_programs_are_looked_up_in_the_path(bench: Bench) -> None:
    launch = bench.launch(wrapper="fake-vassal")
    path = f"{bench.vassals.directory}:{os.environ['PATH']}"
    bench.started(replace(launch, environ={**launch.environ, "PATH": path}))


def test_nothing_to_execute_is_exit_status_26(bench: Bench) -> None:
    bench.start(bench.launch(wrapper="/nowhere"))
    assert bench.status() == EXILE
    assert "cannot execute /nowhere" in bench.said()


def test_a_directory_that_is_gone_is_exit_status_1(bench: Bench) -> None:
    bench.start(replace(bench.launch(), directory="/nowhere"))
    assert bench.status() == 1
    assert bench.said() == "[emperor] cannot enter /nowhere: No such file or directory\n"


# --- hooks ---


def test_hooks_run_before_it_with_its_environment(bench: Bench) -> None:
    trace = bench.vassals.directory / "trace"
    launch = bench.launch(
        hook_as_vassal=(read_hook("putenv:COLOUR=blue"), read_hook(f"write:{trace} 1 ")),
        exec_as_vassal=(read_hook(f'exec:printf "$COLOUR $PWD" >> {trace}'),),
    )
    report = bench.started(launch)
    assert report["environ"]["COLOUR"] == "blue"
    assert trace.read_text() == f"1 blue {bench.vassals.place}"
    assert 'running "putenv:COLOUR=blue" (as-vassal)...' in bench.said()


def test_a_hook_that_fails_is_the_end(bench: Bench) -> None:
    trace = bench.vassals.directory / "trace"
    bench.start(
        bench.launch(exec_as_vassal=(read_hook("exec:exit 3"), read_hook(f"create:{trace}")))
    )
    assert bench.status() == 1
    assert 'hook "exec:exit 3" (as-vassal) has failed: the command has ended (exit code 3)' in (
        bench.said()
    )
    assert not trace.exists()


def test_a_hook_can_end_it(bench: Bench) -> None:
    bench.start(bench.launch(hook_as_vassal=(read_hook("exit:7"),)))
    assert bench.status() == 7


def test_a_private_hook_is_not_shown(bench: Bench) -> None:
    bench.start(bench.launch(hook_as_vassal=(read_hook("!exec:exit 1 # secret"),)))
    assert bench.status() == 1
    assert "secret" not in bench.said()


@pytest.mark.parametrize("code", [0, 4])
def test_the_start_hook_gets_the_name_and_may_fail(bench: Bench, code: int) -> None:
    hook = bench.vassals.directory / "hook"
    trace = bench.vassals.directory / "trace"
    hook.write_text(f'#!/bin/sh\necho "$# $1 $UWSGI_VASSALS_DIR" > {trace}\nexit {code}\n')
    hook.chmod(0o755)
    bench.started(bench.launch(start_hook=str(hook)))
    assert trace.read_text() == f"1 one.ini {bench.vassals.place}\n"
    assert f"one.ini start-hook has ended (exit code {code})" in bench.said()


# --- the owner of the file ---


def test_a_tyrants_vassal_is_its_owner_and_nothing_else(bench: Bench) -> None:
    need_root()
    report = bench.started(bench.launch(tyrant=True, owner=USER))
    assert (report["uid"], report["gid"], report["groups"]) == (USER, USER, [])


def test_it_may_open_its_standard_output_anew(bench: Bench) -> None:
    need_root()
    launch = bench.launch(tyrant=True, owner=USER)
    argv = ["/bin/sh", "-c", "echo through > /dev/stdout"]
    bench.start(replace(launch, argvs=[argv]))
    assert bench.status() == 0
    assert bench.said() == "through\n"


def test_hooks_run_as_the_owner(bench: Bench) -> None:
    need_root()
    bench.started(bench.launch(tyrant=True, owner=USER, exec_as_vassal=(read_hook("exec:id -u"),)))
    assert f"\n{USER}\n" in bench.said()


def test_capabilities_are_limited(bench: Bench) -> None:
    need_root()
    report = bench.started(bench.launch(capabilities=("setgid", "chown")))
    assert report["bounding"] == 1 << 0 | 1 << 6 | 1 << _SETPCAP


# --- its end with the Emperor ---


@pytest.mark.parametrize(
    ("tyrant", "names"),
    [(False, ()), (True, ()), (False, ("pid",)), (True, ("pid", "user"))],
)
def test_it_dies_with_the_emperor(bench: Bench, tyrant: bool, names: tuple[str, ...]) -> None:
    if tyrant or names:
        need_root()
    launch = bench.launch(tyrant=tyrant, owner=USER if tyrant else 0, use_clone=names)
    emperor = os.fork()
    if not emperor:
        # A change of user makes the kernel forget the signal.
        try:
            _, theirs = socket.socketpair()
            os.set_inheritable(theirs.fileno(), True)
            stubborn = replace(launch, argvs=[["/bin/sleep", "100"]])
            pid = start_vassal(stubborn, theirs.fileno(), None, None)
            (bench.vassals.directory / "pid").write_text(str(pid))
            signal.pause()
        finally:
            os._exit(1)
    bench.pids.append(emperor)
    path = bench.vassals.directory / "pid"
    pid = int(wait_until(lambda: path.exists() and path.read_text(), "it has started it"))
    pidfd = os.pidfd_open(pid)
    wait_until(lambda: b"sleep" in _command(pid), "it is executed")
    os.kill(emperor, signal.SIGKILL)
    assert bench.status() == -signal.SIGKILL
    wait_until(lambda: _gone(pid), "it is dead")
    os.close(pidfd)


def _command(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def _gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2][:1] == b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_it_does_not_start_without_an_emperor(bench: Bench) -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        pid = start_vassal(bench.launch(), theirs.fileno(), None, bench._writer)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert bench.said() == "[emperor] the Emperor is gone\n"
    assert bench.vassals.reported("one.ini") == []


# --- namespaces ---

_ALL = ("ipc", "uts", "fs", "pid", "net")
_FILES = {"fs": "mnt"}


def own_namespaces() -> dict[str, str]:
    names = ("ipc", "mnt", "net", "pid", "user", "uts")
    return {one: os.readlink(f"/proc/self/ns/{one}") for one in names}


@pytest.mark.parametrize("names", [(one,) for one in _ALL] + [_ALL])
def test_it_has_namespaces_of_its_own(bench: Bench, names: tuple[str, ...]) -> None:
    need_root()
    report = bench.started(bench.launch(use_clone=names))
    ours, theirs = own_namespaces(), report["namespaces"]
    new = {_FILES.get(one, one) for one in names}
    # Its /proc is still the host's: with a PID namespace "self" is nobody there, unless it mounts its own.
    assert {one for one in ours if ours[one] != theirs[one]} == new
    assert os.path.exists(f"/proc/{bench.pids[0]}")
    if "net" in names:
        assert report["interfaces"] == ["lo"]
    if "pid" in names:
        assert report["pid"] == 1
        assert report["sid"] == 1


def test_its_host_name_and_mounts_are_not_the_hosts(bench: Bench) -> None:
    need_root()
    inside = bench.vassals.directory / "inside"
    inside.mkdir()
    hooks = ("hostname:vassal-1", f"mount:tmpfs none {inside}", f"create:{inside}/file")
    launch = bench.launch(use_clone=("uts", "fs"), hook_as_vassal=tuple(map(read_hook, hooks)))
    report = bench.started(launch)
    assert report["hostname"] == "vassal-1" != socket.gethostname()
    assert list(inside.iterdir()) == []


def test_mounts_that_the_host_shares_get_none_of_its_own(bench: Bench) -> None:
    need_root()
    shared = bench.vassals.directory / "shared"
    (shared / "inside").mkdir(parents=True)
    kernel.mount(str(shared), str(shared), None, MOUNT_FLAGS["bind"], None)
    try:
        kernel.mount(None, str(shared), None, MOUNT_FLAGS["shared"], None)
        hook = read_hook(f"mount:tmpfs none {shared}/inside")
        bench.started(bench.launch(use_clone=("fs",), hook_as_vassal=(hook,)))
        assert not os.path.ismount(shared / "inside")
        # What the host mounts is seen there.
        kernel.mount("none", f"{shared}/inside", "tmpfs", 0, None)
        mounts = Path(f"/proc/{bench.pids[0]}/mounts").read_text()
        assert mounts.count(f" {shared}/inside tmpfs ") == 2
    finally:
        kernel.umount(str(shared), UMOUNT_FLAGS["detach"])


def test_it_can_mount_the_proc_of_its_pid_namespace(bench: Bench) -> None:
    need_root()
    hook = read_hook("mount:proc none /proc")
    launch = bench.launch(use_clone=("fs", "pid"), hook_as_vassal=(hook,))
    code = "import os; print(*sorted(one for one in os.listdir('/proc') if one.isdigit()))"
    bench.start(replace(launch, argvs=[[sys.executable, "-c", code]]))
    assert bench.status() == 0
    assert bench.said().endswith("\n1\n")


def test_the_end_of_the_first_process_ends_its_pid_namespace(bench: Bench) -> None:
    need_root()
    code = textwrap.dedent("""\
        import os, time
        if not os.fork():
            os.setsid()
        print("here", flush=True)
        time.sleep(100)""")
    bench.start(replace(bench.launch(use_clone=("pid",)), argvs=[[sys.executable, "-c", code]]))
    for _ in range(2):
        wait_until(lambda: bench.said(5) == "here\n", "both run")
    children = f"/proc/{bench.pids[0]}/task/{bench.pids[0]}/children"
    with open(children, encoding="ascii") as file:
        child = int(file.read())
    os.kill(bench.pids[0], signal.SIGKILL)
    assert bench.status() == -signal.SIGKILL
    wait_until(lambda: _gone(child), "the other one is dead")


@pytest.mark.parametrize("tyrant", [False, True])
def test_root_in_a_user_namespace_is_somebody_outside(bench: Bench, tyrant: bool) -> None:
    need_root()
    made = bench.vassals.reports / "made"
    hooks = (f"create:{made}", "exec:id -u")
    launch = bench.launch(
        tyrant=tyrant,
        owner=USER if tyrant else 0,
        use_clone=("user", "pid", "fs", "net", "ipc", "uts"),
        hook_as_vassal=tuple(map(read_hook, hooks)),
    )
    report = bench.started(launch, apart=True)
    assert (report["uid"], report["gid"], report["groups"]) == (0, 0, [])
    assert made.stat().st_uid == (USER if tyrant else 0)
    assert report["namespaces"]["user"] != own_namespaces()["user"]


def test_without_roots_rights_it_is_root_in_a_namespace_too(bench: Bench) -> None:
    need_root()
    hook = read_hook("hostname:x")
    launch = bench.launch(use_clone=("user", "net", "uts"), hook_as_vassal=(hook,))
    report = bench.started(launch, apart=True, user=USER)
    assert (report["uid"], report["hostname"]) == (0, "x")


def test_a_user_that_can_not_be_mapped_is_told(bench: Bench) -> None:
    need_root()
    launch = bench.launch(tyrant=True, owner=USER + 1, use_clone=("user",))
    pipe = bench.start_apart(launch, user=USER)
    assert pipe.recv(1) == b""
    assert bench.status() == 1
    expected = f"user {USER + 1} and group {USER + 1} can't be root in a user namespace"
    assert bench.said().startswith(f"[emperor] {expected}: ")
