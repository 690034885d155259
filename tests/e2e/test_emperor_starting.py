"""How the Emperor starts vassals: command, environment, owner, namespaces, hooks, wrappers, on-demand sockets."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.emperors import Emperor, alive, touch
from tests.lab.place import Place
from tests.lab.processes import free_port
from tests.lab.vassals import Vassals, need_root, vassals
from tests.lab.waiting import wait_until

USER = 33


@pytest.fixture
def place() -> Iterator[Vassals]:
    with vassals() as found:
        yield found


def script(place: Vassals, name: str, *lines: str) -> Path:
    """Write a program for the shell."""
    path = place.directory / name
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path


def asked(address: str | Path) -> int:
    """Connect to an on-demand vassal; return the process id that it answers."""
    if isinstance(address, Path):
        sock = socket.socket(socket.AF_UNIX)
        where: object = str(address)
    else:
        sock = socket.socket()
        host, _, port = address.rpartition(":")
        where = (host, int(port))
    with sock:
        sock.settimeout(15.0)
        sock.connect(where)  # type: ignore[arg-type]
        return int(sock.makefile().readline())


# --- the process ---


def test_a_vassal_gets_what_uwsgi_gives_it(lab: Place, place: Vassals) -> None:
    place.variables["UWSGI_VASSAL_SOCKET"] = "/tmp/%n.sock"
    place.put("v_d.js")
    Emperor(
        lab,
        place,
        "vassals-inherit-before = /tb.ini",
        "vassals-include-before = /ib.ini",
        "env = UWSGI_VASSAL_STATS=/run/%%n",
        "vassal-set = processes=1",
        "vassals-set = master=1",
        "vassals-inherit = /t1.ini",
        "vassals-include = /i1.ini",
    )
    report = place.report("v_d.js")
    expected = (
        "--inherit /tb.ini --include /ib.ini --set processes=1 --set master=1 --json v_d.js"
        " --inherit /t1.ini --include /i1.ini"
    )
    assert report["argv"][1:] == expected.split()
    environ = report["environ"]
    assert (environ["UWSGI_SOCKET"], environ["UWSGI_STATS"]) == ("/tmp/v_d.sock", "/run/v_d")
    assert environ["UWSGI_VASSALS_DIR"] == str(place.place)
    odd = [name for name in environ if name.startswith(("UWSGI_VASSAL_", "_UWSGI_ROUTER"))]
    assert (odd, environ.get("NOTIFY_SOCKET")) == ([], None)
    pipe = environ["UWSGI_EMPEROR_FD"]
    assert sorted(report["descriptors"]) == sorted(["0", "1", "2", pipe])
    assert report["descriptors"]["0"] == "/dev/null"
    assert report["cwd"] == str(place.place)
    assert report["pid"] == report["sid"]


def test_its_limit_of_descriptors_and_umask_are_those_of_the_start(
    lab: Place, place: Vassals
) -> None:
    show = script(place, "show", "ulimit -n; umask", f'exec {place.fake} "$@"')
    place.put("one.ini")
    before, umask = resource.getrlimit(resource.RLIMIT_NOFILE), os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, before[1]))
    try:
        emperor = Emperor(lab, place, f"emperor-wrapper-override = {show}", master=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        os.umask(umask)
    first = place.report("one.ini")
    assert "one.ini | 500\n" in emperor.log()
    assert first["umask"] == "0022"
    with open(f"/proc/{emperor.pid()}/limits", encoding="ascii") as file:
        (line,) = [one for one in file if one.startswith("Max open files")]
    assert int(line.split()[3]) == before[1]
    # The master executes itself, and so does the Emperor: its options are others.
    emperor.write(f"emperor-wrapper-override = {show}", "emperor-throttle = 20")
    emperor.command.signal(signal.SIGHUP)
    wait_until(lambda: "goes on with 1 vassals" in emperor.log(), "it has executed itself")
    os.kill(first["pid"], signal.SIGKILL)
    place.report("one.ini", 2)
    assert emperor.log().count("one.ini | 500\n") == 2


def test_nothing_to_execute_is_told_and_delayed(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    emperor = Emperor(
        lab, place, "emperor-wrapper = /nowhere", "emperor-throttle = 100", fake=False
    )
    wait_until(
        lambda: "one.ini | [emperor] cannot execute /nowhere: No such file" in emperor.log(),
        "it is told",
    )
    assert emperor.wait_for("one.ini", lambda one: one["last_end"])["last_end"] == "exit code 26"
    assert "exit code 26; it wrote last: [emperor] cannot execute /nowhere" in emperor.log()


def test_wrappers_are_tried_in_order(lab: Place, place: Vassals) -> None:
    second = script(
        place, "second", 'echo "second $UWSGI_ORIGINAL_PROC_NAME"', f'exec {place.fake} "$@"'
    )
    place.put("one.ini", "socket = /x")
    emperor = Emperor(
        lab,
        place,
        "binary-path = /opt/uwsgi",
        "emperor-wrapper-override = /nowhere/first",
        "emperor-wrapper = /nowhere/middle",
        f"emperor-wrapper-fallback = {second}",
        fake=False,
    )
    emperor.wait_for_state("one.ini", "serving")
    log = emperor.log()
    assert log.index("cannot execute /nowhere/first") < log.index("cannot execute /nowhere/middle")
    assert "one.ini | second /opt/uwsgi\n" in log


# --- hooks ---


def test_hooks_in_the_vassal_run_before_it(lab: Place, place: Vassals) -> None:
    trace = place.directory / "trace"
    start = script(place, "start", f'echo "start $1 $UWSGI_VASSALS_DIR" >> {trace}', "exit 3")
    place.put("one.ini")
    emperor = Emperor(
        lab,
        place,
        f"vassals-start-hook = {start}",
        f"hook-as-vassal = appendn:{trace} advanced",
        f'exec-as-vassal = echo "command $UWSGI_EMPEROR_FD" >> {trace}',
    )
    pipe = place.report("one.ini")["environ"]["UWSGI_EMPEROR_FD"]
    assert trace.read_text() == f"start one.ini {place.place}\nadvanced\ncommand {pipe}\n"
    assert "one.ini start-hook has ended (exit code 3)" in emperor.log()


def test_hooks_in_the_emperor_follow_the_start_and_the_end(lab: Place, place: Vassals) -> None:
    trace = place.directory / "trace"
    stop = script(place, "stop", f'echo "stop $1" >> {trace}')
    path = place.put("one.ini")
    emperor = Emperor(
        lab,
        place,
        f"hook-emperor-start = writen:{trace} begin",
        f'exec-as-emperor = echo "$UWSGI_VASSAL_CONFIG $UWSGI_VASSAL_PID" >> {trace}',
        f"vassals-stop-hook = {stop}",
    )
    pid = emperor.wait_for_state("one.ini", "serving")["pid"]
    wait_until(lambda: f"one.ini {pid}" in trace.read_text(), "the hook has run")
    path.unlink()
    wait_until(lambda: "stop" in trace.read_text(), "the other one has run")
    assert trace.read_text() == f"begin\none.ini {pid}\nstop one.ini\n"


def test_a_hook_that_hangs_holds_nobody_up_and_dies_with_the_emperor(
    lab: Place, place: Vassals
) -> None:
    pids = place.directory / "pids"
    place.put("one.ini")
    emperor = Emperor(lab, place, f"exec-as-emperor = echo $$ >> {pids}; exec sleep 1000")
    emperor.wait_for_state("one.ini", "serving")
    place.put("two.ini")
    emperor.wait_for_state("two.ini", "serving")
    hooks = wait_until(lambda: _lines(pids, 2), "both run")
    os.kill(emperor.pid(), signal.SIGKILL)
    wait_until(lambda: not any(alive(int(pid)) for pid in hooks), "they are dead")


def _lines(path: Path, count: int) -> list[str]:
    found = path.read_text().split() if path.exists() else []
    return found if len(found) >= count else []


def test_stop_hooks_run_when_the_emperor_ends_and_vassals_end_gently(
    lab: Place, place: Vassals
) -> None:
    trace = place.directory / "trace"
    stop = script(place, "stop", f'echo "stop $1" >> {trace}')
    for name in ("one.ini", "two.ini"):
        place.put(name)
    emperor = Emperor(lab, place, f"vassals-stop-hook = {stop}")
    for name in ("one.ini", "two.ini"):
        emperor.wait_for_state(name, "serving")
    began = time.monotonic()
    emperor.command.signal(signal.SIGTERM)
    emperor.command.wait()
    # uWSGI sends no stop byte then, and kills them after the mercy of 30 s.
    assert time.monotonic() - began < 20.0
    assert emperor.log().count("has stopped: exit code 0") == 2
    assert sorted(trace.read_text().split("\n")) == ["", "stop one.ini", "stop two.ini"]


def test_a_hook_that_fails_before_the_start_ends_it(tmp_path: Path) -> None:
    argv = [programs.uwsgi_router(), f"--emperor={tmp_path}", "--hook-emperor-start=exec:exit 4"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "exit code 4" in done.stderr


# --- owners and namespaces ---


def test_the_tyrant(lab: Place, place: Vassals) -> None:
    need_root()
    place.put("root.ini")
    path = place.put("theirs.ini", owner=(USER, USER))
    place.put("group.ini", owner=(USER, 0))
    emperor = Emperor(lab, place, "emperor-tyrant = true")
    report = place.report("theirs.ini")
    assert (report["uid"], report["gid"], report["groups"]) == (USER, USER, [])
    for name in ("root.ini", "group.ini"):
        emperor.wait_for_state(name, "refused")
        assert emperor.log().count(f"invalid permissions for vassal {name}") == 1
    told = emperor.vassal("theirs.ini")
    assert (told["uid"], told["gid"]) == (USER, USER)
    # Another owner is another vassal; root is none.
    os.chown(path, USER + 1, USER + 1)
    assert place.report("theirs.ini", 2)["uid"] == USER + 1
    os.chown(path, 0, 0)
    emperor.wait_for_state("theirs.ini", "refused")
    os.chown(place.place / "root.ini", USER, USER)
    assert place.report("root.ini")["uid"] == USER


def test_the_tyrant_may_look_at_links_only(lab: Place, place: Vassals) -> None:
    need_root()
    skeleton = place.directory / "skeleton"
    skeleton.write_text("[uwsgi]\n")
    link = place.place / "one.ini"
    link.symlink_to(skeleton)
    os.chown(link, USER, USER, follow_symlinks=False)
    Emperor(lab, place, "emperor-tyrant = true", "emperor-tyrant-nofollow = true")
    assert place.report("one.ini")["uid"] == USER


def test_an_unprivileged_emperor_can_not_be_a_tyrant(lab: Place, place: Vassals) -> None:
    need_root()
    lab.directory.chmod(0o777)
    place.put("one.ini", owner=(USER, USER))
    argv = [programs.uwsgi_router(), f"--emperor={place.place}", "--emperor-tyrant"]
    argv += [f"--uid={USER}", f"--gid={USER}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "emperor-tyrant needs root, or CAP_SETUID" in done.stderr


def test_capabilities_are_enough_for_a_tyrant(lab: Place, place: Vassals) -> None:
    need_root()
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not there")
    lab.directory.chmod(0o777)
    place.put("one.ini", owner=(USER + 1, USER + 1))
    ini = lab.directory / "emperor.ini"
    ini.write_text(
        f"[uwsgi]\nno-master = true\nemperor = {place.place}\nemperor-tyrant = true\n"
        f"emperor-wrapper = {place.fake}\n"
    )
    # The third one is for where only root can read Python.
    given = "+setuid,+setgid,+dac_read_search"
    who = (f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
    rights = (f"--inh-caps={given}", f"--ambient-caps={given}")
    argv = ["setpriv", *who, *rights, programs.uwsgi_router(), str(ini)]
    lab.program("emperor", *argv, env=place.environ)
    report = place.report("one.ini")
    assert (report["uid"], report["gid"], report["groups"]) == (USER + 1, USER + 1, [])
    assert report["effective"] == 0


@pytest.mark.parametrize("master", [False, True])
def test_an_unprivileged_emperor_starts_vassals_as_itself(
    lab: Place, place: Vassals, master: bool
) -> None:
    need_root()
    lab.directory.chmod(0o777)
    place.put("one.ini")
    emperor = Emperor(lab, place, f"uid = {USER}", f"gid = {USER}", master=master)
    report = place.report("one.ini")
    assert (report["uid"], report["gid"]) == (USER, USER)
    assert emperor.stats()["uid"] == USER


def test_a_vassal_of_an_unprivileged_emperor_dies_with_it(lab: Place, place: Vassals) -> None:
    need_root()
    lab.directory.chmod(0o777)
    place.put("one.ini", "ignores = 0 2")
    emperor = Emperor(lab, place, f"uid = {USER}", f"gid = {USER}")
    pid = place.report("one.ini")["pid"]
    os.kill(emperor.pid(), signal.SIGKILL)
    wait_until(lambda: not alive(pid), "it is dead")


@pytest.mark.parametrize(
    "names", ["fs,net,ipc,pid,uts", "user,fs,net,ipc,pid,uts"], ids=["root", "user"]
)
def test_namespaces(lab: Place, place: Vassals, names: str) -> None:
    need_root()
    place.put("one.ini", owner=(USER, USER))
    emperor = Emperor(
        lab,
        place,
        *(["emperor-tyrant = true"] if "user" in names else []),
        f"emperor-use-clone = {names}",
        "hook-as-vassal = mount:proc none /proc",
        "hook-as-vassal = hostname:inside",
    )
    told = emperor.wait_for_state("one.ini", "serving")
    report = place.report("one.ini")
    assert (report["pid"], report["hostname"], report["interfaces"]) == (1, "inside", ["lo"])
    assert (report["uid"], report["gid"]) == (0, 0)
    # The Emperor knows the number that it has outside, and who it is there.
    status = Path(f"/proc/{told['pid']}/status").read_text()
    assert f"\nUid:\t{USER if 'user' in names else 0}\t" in status
    assert socket.gethostname() != "inside"
    pid = told["pid"]
    touch(place.place / "one.ini")
    emperor.wait_for("one.ini", lambda one: one["respawns"] == 1 and one["accepting"])
    (place.place / "one.ini").unlink()
    emperor.wait_gone("one.ini")
    assert not alive(pid)


def test_capabilities(lab: Place, place: Vassals) -> None:
    need_root()
    place.put("one.ini")
    Emperor(lab, place, "emperor-cap = chown,setgid")
    assert place.report("one.ini")["bounding"] == 1 << 0 | 1 << 6 | 1 << 8


# --- on demand ---


def test_the_first_connection_starts_a_vassal_and_waits_for_it(lab: Place, place: Vassals) -> None:
    path = place.directory / "one.sock"
    (place.place / "one.ini.socket").write_text(f"{path}\n")
    config = place.put("one.ini", "accepts = yes")
    place.put("two.ini")
    emperor = Emperor(lab, place, "emperor-on-demand-extension = .socket")
    place.report("two.ini")
    told = emperor.wait_for_state("one.ini", "asleep")
    assert (told["pid"], told["on_demand"]) == (-1, str(path))
    # Changes do not wake it.
    touch(config)
    emperor.wait_for("one.ini", lambda one: one["last_mod"] == int(config.stat().st_mtime))
    assert place.reported("one.ini") == []
    pid = asked(path)
    report = place.report("one.ini")
    assert report["pid"] == pid
    assert report["descriptors"]["0"].startswith("socket:")
    assert asked(path) == pid
    # A reload while it runs is an ordinary one.
    touch(config)
    emperor.wait_for("one.ini", lambda one: one["respawns"] == 1)
    assert emperor.vassal("one.ini")["pid"] == pid
    config.unlink()
    emperor.wait_gone("one.ini")
    assert not path.exists()


@pytest.mark.parametrize("how", ["directory", "exec"])
def test_other_ways_to_name_the_socket(lab: Place, place: Vassals, how: str) -> None:
    place.put("one.ini", "accepts = yes")
    if how == "directory":
        option = f"emperor-on-demand-directory = {place.directory}"
        address: str | Path = place.directory / "one.socket"
    else:
        address = f"127.0.0.1:{free_port()}"
        command = script(place, "name", f'test "$1" = one.ini && echo {address}')
        option = f"emperor-on-demand-exec = {command}"
    emperor = Emperor(lab, place, option)
    emperor.wait_for_state("one.ini", "asleep")
    assert asked(address) == place.report("one.ini")["pid"]


def test_a_slow_name_holds_nobody_up(lab: Place, place: Vassals) -> None:
    go = place.directory / "go"
    os.mkfifo(go)
    command = script(place, "name", f'test "$1" != slow.ini || cat {go}')
    place.put("slow.ini")
    emperor = Emperor(lab, place, f"emperor-on-demand-exec = {command}")
    place.put("quick.ini")
    emperor.wait_for_state("quick.ini", "serving")
    assert emperor.vassal("slow.ini") == {}
    go.write_text("\n")
    emperor.wait_for_state("slow.ini", "serving")


def test_a_crash_loses_no_connection(lab: Place, place: Vassals) -> None:
    path = place.directory / "one.sock"
    (place.place / "one.ini.socket").write_text(str(path))
    place.put("one.ini", "accepts = yes")
    emperor = Emperor(lab, place, "emperor-on-demand-extension = .socket", "emperor-throttle = 10")
    emperor.wait_for_state("one.ini", "asleep")
    before = asked(path)
    os.kill(before, signal.SIGSTOP)
    answers: list[int] = []
    clients = [threading.Thread(target=lambda: answers.append(asked(path))) for _ in range(20)]
    for client in clients:
        client.start()
    inode = path.stat().st_ino
    # The stopped vassal may not have closed the connection that it has answered last.
    wait_until(lambda: _queued(path) >= 20, "they wait")
    os.kill(before, signal.SIGKILL)
    for client in clients:
        client.join()
    assert len(answers) == 20
    assert before not in answers
    assert path.stat().st_ino == inode


def _queued(path: Path) -> int:
    """Return how many connections to a UNIX socket nobody has accepted yet."""
    lines = Path("/proc/net/unix").read_text().splitlines()
    return sum(line.endswith(f" {path}") for line in lines) - 1


def test_who_never_accepts_does_not_spin(lab: Place, place: Vassals) -> None:
    path = place.directory / "one.sock"
    (place.place / "one.ini.socket").write_text(str(path))
    # It says that it serves, and wants to rest.
    place.put("one.ini", "says = 1 5 22")
    emperor = Emperor(lab, place, "emperor-on-demand-extension = .socket", "emperor-throttle = 1")
    emperor.wait_for_state("one.ini", "asleep")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        place.report("one.ini")
        began = time.monotonic()
        place.report("one.ini", 3)
        # Pauses of one and two seconds lie between.
        assert time.monotonic() - began > 2.5
    assert len(place.reported("one.ini")) == 3


def test_rest_and_waking_again(lab: Place, place: Vassals) -> None:
    path = place.directory / "one.sock"
    (place.place / "one.ini.socket").write_text(str(path))
    place.put("one.ini", "accepts = yes", "rests = yes")
    emperor = Emperor(lab, place, "emperor-on-demand-extension = .socket")
    emperor.wait_for_state("one.ini", "asleep")
    pids = set()
    for _ in range(3):
        pids.add(asked(path))
        emperor.wait_for_state("one.ini", "asleep")
    assert len(pids) == 3
    assert emperor.vassal("one.ini")["pid"] == -1


def test_the_socket_lives_on_over_a_reload_of_the_program(lab: Place, place: Vassals) -> None:
    path = place.directory / "one.sock"
    (place.place / "one.ini.socket").write_text(str(path))
    place.put("one.ini", "accepts = yes")
    lines = ["emperor-on-demand-extension = .socket"]
    emperor = Emperor(lab, place, *lines, master=True)
    emperor.wait_for_state("one.ini", "asleep")
    inode = path.stat().st_ino
    emperor.write(*lines, "emperor-throttle = 20")
    emperor.command.signal(signal.SIGHUP)
    wait_until(lambda: "goes on with 1 vassals" in emperor.log(), "it has executed itself")
    pid = asked(path)
    assert path.stat().st_ino == inode
    emperor.write(*lines, "emperor-throttle = 30")
    emperor.command.signal(signal.SIGHUP)
    wait_until(lambda: emperor.log().count("goes on with 1 vassals") == 2, "and again")
    assert asked(path) == pid
    os.kill(pid, signal.SIGKILL)
    assert asked(path) != pid


def test_a_thousand_idle_ones_cost_nothing(lab: Place, place: Vassals) -> None:
    for number in range(1000):
        place.put(f"v{number}.ini")
    options = (f"emperor-on-demand-directory = {place.directory}", "emperor-freq = 60")
    emperor = Emperor(lab, place, *options)
    wait_until(
        lambda: sum(one["state"] == "asleep" for one in emperor.stats()["vassals"]) == 1000,
        "all sleep",
        30.0,
    )
    before = _seconds(emperor.pid())
    time.sleep(3.0)
    # Clock ticks are hundredths of a second.
    assert _seconds(emperor.pid()) - before <= 0.02
    assert place.reported("v500.ini") == []


def _seconds(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
