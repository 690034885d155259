"""The Emperor as a process: beside routers, killed, without its master, with other options after HUP, many vassals."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.lab.emperors import Emperor, alive, emperor_of, read_all, touch
from tests.lab.place import Place
from tests.lab.processes import children_of, free_port
from tests.lab.reloaded import name_of
from tests.lab.vassals import Vassals, need_root, vassals
from tests.lab.waiting import wait_until

#: A leader with a child in its session, both of which ignore what others want.
STUBBORN = "#!/bin/sh\ntrap '' TERM INT HUP\nsleep 50 &\necho $! is of $$\nwait\nsleep 50\n"


@pytest.fixture
def place() -> Iterator[Vassals]:
    with vassals() as found:
        yield found


def stubborn(emperor: Emperor) -> list[int]:
    """Wait for a stubborn vassal; return the leader and its child."""
    emperor.command.wait_for_output(" is of ")
    words = emperor.log().partition("one.ini | ")[2].split()
    return [int(words[3]), int(words[0])]


def put_stubborn(place: Vassals) -> str:
    """Make a program of stubborn vassals; return the line that takes it as their wrapper."""
    program = place.directory / "stubborn"
    program.write_text(STUBBORN)
    program.chmod(0o755)
    place.put("one.ini")
    return f"emperor-wrapper = {program}"


def test_a_killed_emperor_takes_all_with_it_and_is_started_again(
    lab: Place, place: Vassals
) -> None:
    emperor = Emperor(lab, place, put_stubborn(place), fake=False, master=True)
    pids = stubborn(emperor)
    first = emperor.pid()
    assert first == emperor_of(emperor.command.pid)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids)), "leader and child are gone")
    wait_until(lambda: emperor.pid() != first, "another Emperor governs")
    emperor.command.wait_for_output("processes of vassals that the Emperor has left are killed")
    emperor.command.wait_for_output("the Emperor (pid")
    wait_until(lambda: emperor.log().count(" is of ") == 2, "the vassal runs again")
    # The master has waited for what was left to it.
    assert [name_of(pid) for pid in children_of(emperor.command.pid)] == ["uWSGI Emperor"]


def test_a_killed_master_takes_all_with_it(lab: Place, place: Vassals) -> None:
    place.put("two.ini")
    emperor = Emperor(lab, place, put_stubborn(place), fake=False, master=True)
    pids = [*stubborn(emperor), emperor.pid()]
    os.kill(emperor.command.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids)), "nobody is left", 20.0)
    assert "the master is gone" in emperor.log()


def test_a_killed_emperor_without_a_master_takes_its_vassals_with_it(
    lab: Place, place: Vassals
) -> None:
    place.put("one.ini", "ignores = 0 2")
    emperor = Emperor(lab, place)
    pid = emperor.wait_for_state("one.ini", "serving")["pid"]
    os.kill(emperor.pid(), signal.SIGKILL)
    wait_until(lambda: not alive(pid), "it is gone")


def test_beside_a_router_a_stop_ends_both(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    port = free_port()
    emperor = Emperor(lab, place, f"http = 127.0.0.1:{port}", "http-to = 127.0.0.1:1", master=True)
    pid = emperor.wait_for_state("one.ini", "serving")["pid"]
    assert sorted(map(name_of, children_of(emperor.command.pid))) == [
        *("router-worker-1", "uWSGI Emperor")
    ]
    # Somebody ends the Emperor alone: the router stays, and it comes again, as with uWSGI's master.
    first = emperor.pid()
    emperor.signal(signal.SIGTERM)
    emperor.command.wait_for_output("The Emperor is buried.")
    wait_until(lambda: emperor_of_or_none(emperor) not in (None, first), "it governs again")
    emperor.wait_for("one.ini", lambda one: one["state"] == "serving" and one["pid"] != pid)
    emperor.command.stop()
    assert not alive(emperor.vassals.report("one.ini", 2)["pid"])


def emperor_of_or_none(emperor: Emperor) -> int | None:
    try:
        return emperor.pid()
    except (FileNotFoundError, ValueError):
        return None


def test_a_reload_without_changes_touches_nothing(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    port = free_port()
    line = f"http = 127.0.0.1:{port}"
    emperor = Emperor(lab, place, line, "http-to = 127.0.0.1:1", master=True)
    before, pid = emperor.wait_for_state("one.ini", "serving"), emperor.pid()
    emperor.write(line, "http-to = 127.0.0.1:2")
    emperor.command.signal(signal.SIGHUP)
    emperor.command.wait_ready(60.0)
    emperor.command.wait_for_output("the old processes have ended: the reload is over")
    assert emperor.pid() == pid
    assert emperor.vassal("one.ini") == before
    assert "the Emperor's options have changed" not in emperor.log()
    # If it dies now, the next one has the configuration of now.
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: emperor_of_or_none(emperor) not in (None, pid), "another one governs")
    emperor.wait_for_state("one.ini", "serving")


def test_other_options_are_taken_in_place(lab: Place, place: Vassals) -> None:
    other = place.directory / "other"
    other.mkdir()
    (other / "more.ini").write_text("[uwsgi]\n")
    sockets = place.directory / "sockets"
    sockets.mkdir()
    one = place.put("one.ini", "says = 1 5 17")
    place.put("bad.ini", "exits = 1")
    (place.place / "lazy.ini.socket").write_text(f"{sockets}/lazy.sock\n")
    place.put("lazy.ini", "accepts = yes")
    demand = "emperor-on-demand-extension = .socket"
    emperor = Emperor(lab, place, demand, master=True)
    before, pid = emperor.wait_for("one.ini", lambda one: one["loyal"]), emperor.pid()
    emperor.wait_for_state("lazy.ini", "asleep")
    wait_until(lambda: emperor.stats()["blacklist"], "it has failed")
    emperor.write(demand, f"emperor = {other}", "emperor-freq = 7")
    emperor.command.signal(signal.SIGHUP)
    emperor.command.wait_for_output("the Emperor goes on with 3 vassals")
    emperor.wait_for_state("more.ini", "serving")
    assert emperor.pid() == pid == emperor_of(emperor.command.pid)
    after = emperor.vassal("one.ini")
    assert after == before
    assert len(place.reported("one.ini")) == 1
    assert emperor.stats()["blacklist"][0]["id"] == "bad.ini"
    # What it has inherited works: the pipe, the socket, the output, the end of a process.
    touch(one)
    emperor.wait_for("one.ini", lambda one: one["respawns"] == 1 and one["accepting"])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{sockets}/lazy.sock")
        client.settimeout(10.0)
        assert int(client.recv(100)) == place.report("lazy.ini")["pid"]
    os.kill(before["pid"], signal.SIGKILL)
    emperor.wait_for("one.ini", lambda one: one["restarts"] == 1 and one["loyal"])
    # And again, back.
    emperor.write(demand)
    emperor.command.signal(signal.SIGHUP)
    emperor.wait_gone("more.ini")
    assert emperor.pid() == pid
    emperor.command.stop()


def test_a_reload_can_bring_and_take_an_emperor(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    line = f"http = 127.0.0.1:{free_port()}"
    emperor = Emperor(lab, place, line, "http-to = 127.0.0.1:1", master=True)
    pid = emperor.wait_for_state("one.ini", "serving")["pid"]
    text = emperor.ini.read_text()
    emperor.ini.write_text(f"[uwsgi]\n{line}\nhttp-to = 127.0.0.1:1\n")
    emperor.command.signal(signal.SIGHUP)
    emperor.command.wait_ready(60.0)
    wait_until(lambda: not alive(pid), "it has ended with its Emperor")
    emperor.command.wait_for_output(f"one.ini (pid {pid}) has stopped: exit code 0")
    emperor.ini.write_text(text)
    emperor.command.signal(signal.SIGHUP)
    emperor.command.wait_ready(60.0)
    emperor.wait_for_state("one.ini", "serving")


def test_a_bad_configuration_changes_nothing(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    emperor = Emperor(lab, place, master=True)
    before = emperor.wait_for_state("one.ini", "serving")
    emperor.write("emperor = /not/there")
    emperor.command.signal(signal.SIGHUP)
    emperor.command.wait_for_output("nothing has changed: ")
    assert emperor.vassal("one.ini") == before


@pytest.mark.parametrize("line", ["", "no-master = true"])
def test_an_emperor_below_an_emperor(line: str, lab: Place, place: Vassals) -> None:
    below = place.directory / "below"
    below.mkdir()
    (below / "one.ini").write_text("[uwsgi]\nsays = 1 5 17\n")
    stats = place.directory / "sub.sock"
    place.put(
        "sub.ini",
        *(f"emperor = {below}", f"emperor-wrapper = {place.fake}", f"emperor-stats = {stats}"),
        line,
    )
    emperor = Emperor(lab, place, fake=False)
    # Who governs is loyal.
    sub = emperor.wait_for("sub.ini", lambda one: one["accepting"] and one["loyal"])
    pid = place.report("one.ini")["pid"]
    assert emperor_of(sub["pid"]) == json.loads(read_all(stats))["pid"]
    # What was touched reloads the Emperor below, and nothing that it governs.
    touch(place.place / "sub.ini")
    emperor.wait_for("sub.ini", lambda one: one["respawns"] == 1 and one["accepting"], 30.0)
    assert len(place.reported("one.ini")) == 1
    assert alive(pid)
    (place.place / "sub.ini").unlink()
    emperor.wait_gone("sub.ini")
    assert not alive(pid)


def test_signals_to_the_master_reach_the_emperor(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    emperor = Emperor(lab, place, master=True)
    emperor.wait_for_state("one.ini", "serving")
    emperor.command.signal(signal.SIGURG)
    emperor.command.wait_for_output("SIGURG: cleaning up the blacklist")
    emperor.command.signal(signal.SIGINT)
    assert emperor.command.wait() == 0


def test_systemd_hears_how_many_there_are(lab: Place, place: Vassals) -> None:
    for name in ("one.ini", "two.ini"):
        place.put(name)
    Emperor(lab, place).command.wait_for_status("The Emperor is governing 2 vassals")


def test_systemd_hears_it_from_the_master_too(lab: Place, place: Vassals) -> None:
    place.put("one.ini")
    emperor = Emperor(lab, place, master=True)
    place.put("two.ini")
    emperor.command.wait_for_status("the Emperor is governing 2 vassals")


def test_a_stop_hook_runs_for_each_and_all_are_told_to_stop(lab: Place, place: Vassals) -> None:
    hook = place.directory / "hook"
    hook.write_text(f'#!/bin/sh\necho "$1" >> {place.directory}/stopped\n')
    hook.chmod(0o755)
    for name in ("one.ini", "two.ini"):
        place.put(name)
    emperor = Emperor(lab, place, f"vassals-stop-hook = {hook}", "reload-mercy = 20")
    pids = [emperor.wait_for_state(name, "serving")["pid"] for name in ("one.ini", "two.ini")]
    began = time.monotonic()
    emperor.command.stop()
    assert time.monotonic() - began < 10
    assert not any(map(alive, pids))
    stopped = (place.directory / "stopped").read_text().split()
    assert sorted(stopped) == ["one.ini", "two.ini"]


def test_200_vassals_start_in_seconds(lab: Place, place: Vassals) -> None:
    for number in range(200):
        place.put(f"vassal-{number}.ini")
    ready = place.directory / "ready"
    # As little as a vassal can be: the time is the Emperor's.
    ready.write_text("#!/bin/sh\nread -r word < /dev/null\nsleep 50\n")
    ready.chmod(0o755)
    began = time.monotonic()
    emperor = Emperor(lab, place, f"emperor-wrapper = {ready}", fake=False, master=True)
    wait_until(lambda: sum(one["pid"] > 1 for one in emperor.stats()["vassals"]) == 200, "all run")
    assert time.monotonic() - began < 10.0
    pids = [one["pid"] for one in emperor.stats()["vassals"]]
    os.kill(emperor.pid(), signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids)), "all of them are gone")


# --- nobody else is ever signalled ---

#: Runs in a PID namespace, as its process 1.
ALONE = """
import json, os, signal, subprocess, sys, time
bystanders = [subprocess.Popen(["sleep", "60"], start_new_session=bool(n)) for n in range(2)]
emperor = subprocess.Popen(sys.argv[1:], start_new_session=True)
end = time.monotonic() + 20
while "stuck.ini: ready to accept" not in open(os.environ["LOG"]).read():
    assert time.monotonic() < end and emperor.poll() is None, "it does not start"
    time.sleep(0.05)
emperor.send_signal(int(os.environ["NUMBER"]))
code = emperor.wait(20)
def living():
    names = []
    for pid in os.listdir("/proc"):
        if pid.isdecimal() and int(pid) != os.getpid():
            try:
                state = open(f"/proc/{pid}/stat").read()
            except OSError:
                continue
            if state.rpartition(")")[2].split()[0] != "Z":
                names.append(state.partition("(")[2].rpartition(")")[0])
    return sorted(names)
while living() != ["sleep", "sleep"] and time.monotonic() < end + 10:
    time.sleep(0.05)
print(json.dumps([code, [one.poll() is None for one in bystanders], living()]))
for one in bystanders:
    one.kill()
"""


@pytest.mark.parametrize("master", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_with_stuck_and_sleeping_vassals_nobody_else_is_signalled(
    master: bool, number: signal.Signals, place: Vassals
) -> None:
    need_root()
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    place.put("stuck.ini", "ignores = 0 1 2")
    for name in ("idle-1", "idle-2", "idle-3"):
        place.put(f"{name}.ini")
        (place.place / f"{name}.ini.socket").write_text(f"{place.directory}/{name}.sock\n")
    log = place.directory / "log"
    log.touch()
    command = [
        os.path.join(os.path.dirname(sys.executable), "uwsgi-router"),
        *("--emperor", str(place.place), f"--emperor-wrapper={place.fake}"),
        *("--emperor-on-demand-extension=.socket", f"--logto={log}", "--reload-mercy=1"),
        *([] if master else ["--no-master"]),
    ]
    done = subprocess.run(
        ["unshare", "-p", "-f", "--mount-proc", sys.executable, "-c", ALONE, *command],
        env={**os.environ, **place.environ, "LOG": str(log), "NUMBER": str(int(number))},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    code = 0 if number == signal.SIGTERM else -9
    assert done.stdout == f'[{code}, [true, true], ["sleep", "sleep"]]\n', done.stderr
