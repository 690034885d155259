"""Parts of the master: values for other processes, heartbeats, outcomes, the launch, commands, an Emperor."""

import dataclasses
import os
import resource
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from uwsgi_router.router.app.master import harakiri, outcome
from uwsgi_router.router.app.master.assignment import Assignment
from uwsgi_router.router.app.master.beats import Beat, Beats
from uwsgi_router.router.app.master.commands import Commands, Deeds
from uwsgi_router.router.app.master.emperor import Emperor, emperor_descriptor
from uwsgi_router.router.app.master.fifo import CommandFifo
from uwsgi_router.router.app.master.launch import Launch, taken_descriptor
from uwsgi_router.router.app.master.manager import watchdog_seconds
from uwsgi_router.router.app.master.outcome import NAME, Reloads, publish, reloads_of
from uwsgi_router.router.app.master.touch import TouchWatch
from uwsgi_router.router.app.master.value import dump, load
from uwsgi_router.router.app.process.cores import usable_cores, with_cores
from uwsgi_router.router.config.load import examine
from uwsgi_router.router.config.model import Configuration, ProcessConfig, RouterConfig
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.memory_file import write_memory_file


@pytest.fixture
def loop() -> Iterator[SelectorLoop]:
    one = SelectorLoop()
    yield one
    one.close()


# --- values ---


def test_a_configuration_is_the_same_in_another_process() -> None:
    argv = [
        *("--http=:8080", "--http-to=:1", "--http-to-https=:80,443", "--fastrouter=:2"),
        *("--fastrouter-subscription-server=:3", "--cache2=name=a,items=5", "--env=A=b"),
        *("--fastrouter-use-code-string=0:a.py:f", "--zerg-pool=/run/z:127.0.0.1:5"),
        *("--subscription-check=ping,interval=3", "--forkptyrouter=/run/f.sock"),
    ]
    configuration = examine(argv, {}).configuration
    assert load(dump(configuration)) == configuration


def test_what_another_version_knows_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    wider = dataclasses.make_dataclass(
        "RouterConfig",
        [("later", int, 7)],
        bases=(RouterConfig,),
        frozen=True,
        namespace={"__module__": RouterConfig.__module__, "__qualname__": "RouterConfig"},
    )
    module = sys.modules[RouterConfig.__module__]
    monkeypatch.setattr(module, "RouterConfig", wider)
    data = dump(Configuration(routers=(wider(listen=(":1",)),)))
    monkeypatch.undo()
    assert load(data) == Configuration(routers=(RouterConfig(listen=(":1",)),))


def test_an_assignment_is_read_as_it_was_written() -> None:
    assignment = Assignment("worker", 1, 3, 4, 7, 8, 9, 5, takes_over=True)
    descriptor = assignment.write()
    assert Assignment.read(descriptor) == assignment
    assert assignment.descriptors == [7, 8, 9]
    os.close(descriptor)


# --- heartbeats ---


def test_heartbeats_are_shared_by_their_descriptor() -> None:
    ours = Beats()
    theirs = Beats(ours.descriptor)
    theirs.write(3, Beat(1.5, 2, 3, 4))
    assert ours.read(3) == Beat(1.5, 2, 3, 4)
    assert ours.read(2) == Beat()
    ours.clear(3)
    assert theirs.read(3) == Beat()
    os.close(ours.descriptor)


def test_a_loop_that_has_never_turned_is_not_stuck() -> None:
    assert harakiri.stuck_for(Beat(), 1e6) == 0.0
    assert harakiri.stuck_for(Beat(10.0), 12.5) == 2.5


# --- outcomes ---


def test_outcomes_of_reloads_are_found_by_process_id() -> None:
    assert reloads_of(os.getpid()) is None
    descriptor = write_memory_file(NAME, b"")
    publish(descriptor, Reloads(1, 0, "a long reason that is longer than the next one"))
    publish(descriptor, Reloads(2, 2))
    assert reloads_of(os.getpid()) == Reloads(2, 2, "")
    os.close(descriptor)
    assert outcome.reloads_of(os.getpid()) is None


# --- the launch ---


def test_a_launch_has_program_arguments_and_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    link = tmp_path / "current"
    link.symlink_to(tmp_path)
    monkeypatch.setenv("PWD", str(link))
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-X", "dev", "bin/uwsgi-router", "--a", "b"])
    launch = Launch.of_this_process(["--a", "b"])
    assert launch.argv() == [sys.executable, "-X", "dev", "bin/uwsgi-router", "--a", "b"]
    assert launch.argv(["c"]) == [sys.executable, "-X", "dev", "bin/uwsgi-router", "c"]
    # By the name that it was entered by.
    assert launch.directory == str(link)
    monkeypatch.setenv("PWD", "/")
    assert Launch.of_this_process([]).directory == os.path.realpath(tmp_path)


def test_called_by_another_program_it_is_started_as_a_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python3", "other.py"])
    monkeypatch.chdir(tmp_path)
    module = [sys.executable, "-P", "-m", "uwsgi_router"]
    assert Launch.of_this_process(["--a"]).argv() == [*module, "--a"]


def test_the_limit_of_descriptors_is_that_of_the_first_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first = Launch.of_this_process([])
    assert first.open_files == soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for name, value in first.environment().items():
            monkeypatch.setenv(name, value)
        assert Launch.of_this_process([]).open_files == soft
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("", None), ("x", None), ("-1", None)])
def test_variables_with_descriptors_are_taken_out(
    monkeypatch: pytest.MonkeyPatch, text: str, number: int | None
) -> None:
    monkeypatch.setenv("_TEST_FD", text)
    assert taken_descriptor("_TEST_FD") == number
    assert "_TEST_FD" not in os.environ


# --- commands ---


def test_letters_in_a_fifo_are_commands(
    loop: SelectorLoop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = str(tmp_path / "fifo")
    seen: list[str] = []
    fifo = CommandFifo(path, loop, {"r": seen.append, "q": seen.append})
    for text in ("r\n", "xq"):
        Path(path).write_text(text)
        loop.step(5.0)
    assert seen == [f"{path}: r", f"{path}: q"]
    assert caplog.messages == [f"{path}: there is no command x"]
    fifo.close()
    # It is used again.
    CommandFifo(path, loop, {}).close()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_fifo_is_left_alone(loop: SelectorLoop, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "fifo"
    if kind == "file":
        path.write_text("mine")
    else:
        os.mkfifo(tmp_path / "other")
        path.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match=r"no fifo|symbolic links"):
        CommandFifo(str(path), loop, {})


def test_a_touched_file_is_a_command(loop: SelectorLoop, tmp_path: Path) -> None:
    here, later = tmp_path / "here", tmp_path / "later"
    here.touch()
    seen: list[str] = []
    watch = TouchWatch([str(here), str(later)], loop, seen.append, interval=0.01)
    loop.call_later(0.05, loop.stop)
    loop.run()
    assert seen == []
    os.utime(here, (1, 1))
    later.touch()
    while len(seen) < 2:
        loop.step(1.0)
    here.unlink()
    loop.call_later(0.05, loop.stop)
    loop.run()
    assert sorted(seen) == [str(here), str(later)]
    watch.close()


def test_commands_that_come_while_a_configuration_is_taken_over_are_not_lost(
    loop: SelectorLoop, tmp_path: Path
) -> None:
    seen: list[str] = []
    fifo, touched = tmp_path / "fifo", tmp_path / "touched"
    process = ProcessConfig(master_fifo=(str(fifo),), touch_reload=(str(touched),))
    commands = Commands(loop, Deeds(*(seen.append,) * 5))
    commands.take(process)
    fifo.write_text("s")
    touched.touch()
    commands.take(process)
    while len(seen) < 2:
        loop.step(1.0)
    assert seen == [f"{fifo}: s", f"{touched} was touched"]
    commands.close()


# --- the Emperor, and the service manager ---


def emperor(loop: SelectorLoop, seen: list[str]) -> tuple[Emperor, socket.socket]:
    ours, theirs = socket.socketpair()
    vassal = Emperor(
        loop,
        ours.detach(),
        stop=lambda: seen.append("stop"),
        finish=lambda: seen.append("finish"),
        reload=seen.append,
    )
    return vassal, theirs


def test_the_emperor_is_told_a_byte_each(loop: SelectorLoop) -> None:
    vassal, theirs = emperor(loop, [])
    for tell in (vassal.spawned, vassal.accepting, vassal.answered, vassal.answered, vassal.beat):
        tell()
    assert theirs.recv(100) == b"\x01\x05\x11\x1a"
    # After a reload it has to prove itself again.
    vassal.accepting()
    vassal.answered()
    assert theirs.recv(100) == b"\x05\x11"
    vassal.close()
    vassal.beat()
    theirs.close()


@pytest.mark.parametrize(
    ("byte", "wanted"),
    [(b"\0", ["stop"]), (b"\1", ["the Emperor"]), (b"\2", ["finish"]), (b"\x63", [])],
)
def test_what_the_emperor_says(loop: SelectorLoop, byte: bytes, wanted: list[str]) -> None:
    seen: list[str] = []
    vassal, theirs = emperor(loop, seen)
    theirs.send(byte)
    loop.step(5.0)
    assert seen == wanted
    vassal.close()
    theirs.close()


def test_without_its_emperor_a_vassal_stops(loop: SelectorLoop) -> None:
    seen: list[str] = []
    vassal, theirs = emperor(loop, seen)
    theirs.close()
    loop.step(5.0)
    assert (seen, vassal.descriptor) == (["stop"], -1)


def test_the_descriptor_of_an_emperor_is_taken_out_of_the_environment() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    environ = {"UWSGI_EMPEROR_FD": str(writer), "A": "b"}
    assert emperor_descriptor(environ) == writer
    assert environ == {"A": "b"}
    assert not os.get_inheritable(writer)
    os.close(reader)
    os.close(writer)
    assert emperor_descriptor({}) == -1
    assert emperor_descriptor({"UWSGI_EMPEROR_FD": str(writer)}) == -1


def test_the_watchdog_is_ours_only_if_it_says_so() -> None:
    environ = {"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": "7"}
    assert watchdog_seconds(dict(environ), 7) == 2.5
    assert watchdog_seconds(dict(environ), 8) == 0.0
    assert watchdog_seconds({"WATCHDOG_USEC": "1000000"}, 8) == 1.0
    assert watchdog_seconds({}, 7) == 0.0
    watchdog_seconds(environ, 7)
    assert environ == {}


# --- cores ---


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 64), ("250000 100000", 3), ("10000 100000", 1), ("odd", 64)],
)
def test_the_quota_of_the_control_group_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "cpu.max").write_text(quota)
    membership = tmp_path / "membership"
    membership.write_text("0::/a/b\n")
    assert usable_cores(tmp_path, membership) == cores


def test_the_quota_of_old_control_groups_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))
    group = tmp_path / "cpu" / "a"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("400000")
    (group / "cpu.cfs_period_us").write_text("100000")
    membership = tmp_path / "membership"
    membership.write_text("3:cpu,cpuacct:/a\n2:memory:/b\n")
    assert usable_cores(tmp_path, membership) == 4


def test_the_affinity_counts_without_any_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 5})
    assert usable_cores(tmp_path, tmp_path / "none") == 2


def test_auto_becomes_a_number() -> None:
    configuration = Configuration(routers=(RouterConfig(processes="auto"), RouterConfig()))
    found = [one.processes for one in with_cores(configuration).routers]
    assert found[1] == 1
    assert isinstance(found[0], int)
    assert with_cores(configuration).workers == found[0]
