"""How the Emperor starts real uWSGI: variables, magic words, on demand, owners, namespaces."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.emperors import Emperor, alive
from tests.lab.namespaces import python_home
from tests.lab.place import Place
from tests.lab.vassals import Vassals, need_root, vassals
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.peers

USER = 33
APP = """
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (os.getppid(), os.getuid())]
"""


@pytest.fixture
def place() -> Iterator[Vassals]:
    with vassals() as found:
        (found.directory / "app.py").write_text(APP)
        yield found


def govern(lab: Place, place: Vassals, *lines: str) -> Emperor:
    return Emperor(lab, place, f"binary-path = {programs.uwsgi()}", *lines, fake=False)


def app(place: Vassals, *lines: str) -> tuple[str, ...]:
    """Return the lines of an application."""
    wsgi = f"wsgi-file = {place.directory / 'app.py'}"
    # A worker of uWSGI that is told to end while it starts does not hear it, and is killed after this time.
    return (wsgi, "master = true", "need-app = true", "worker-reload-mercy = 2", *lines)


def ask(path: Path) -> tuple[int, int]:
    """Return the process id of the vassal that answers there, and its user."""
    with Client(str(path), 20.0) as client:
        pid, uid = client.get("/").body.split()
        return int(pid), int(uid)


def test_each_vassal_has_a_socket_of_its_own_by_one_variable(lab: Place, place: Vassals) -> None:
    place.variables["UWSGI_VASSAL_HTTP_SOCKET"] = f"{place.directory}/%n.sock"
    for name in ("one.ini", "two.ini"):
        place.put(name, *app(place))
    emperor = govern(lab, place)
    for name in ("one", "two"):
        told = emperor.wait_for_state(f"{name}.ini", "serving")
        assert ask(place.directory / f"{name}.sock")[0] == told["pid"]


def test_magic_variables_of_a_vassal_and_of_what_all_include(lab: Place, place: Vassals) -> None:
    include = place.directory / "all.ini"
    include.write_text(f"[uwsgi]\nhttp-socket = {place.directory}/%N.sock\nprint = in %s for %S\n")
    place.put("one.ini", *app(place), "print = o=%o n=%n s=%s e=%e d=%d v=%v p=%p")
    emperor = govern(lab, place, f"vassals-include = {include}", "vassal-set = print=first")
    told = emperor.wait_for_state("one.ini", "serving")
    assert ask(place.directory / "one.sock")[0] == told["pid"]
    vassals = place.place
    words = f"o=one.ini n=one s=one.ini e=ini d={vassals}/ v={vassals} p={vassals}/one.ini"
    log = emperor.log()
    assert f"one.ini | {words}\n" in log
    assert "one.ini | in all.ini for one.ini\n" in log


def test_a_program_prints_the_configuration(lab: Place, place: Vassals) -> None:
    sock = place.directory / "one.sock"
    path = place.place / "it's one.ini"
    lines = "\n".join(app(place, f"http-socket = {sock}"))
    path.write_text(f"#!/bin/sh\ncat <<'END'\n[uwsgi]\n{lines}\nEND\n")
    path.chmod(0o755)
    emperor = govern(lab, place, "emperor-magic-exec = true")
    told = emperor.wait_for_state(path.name, "serving")
    assert ask(sock)[0] == told["pid"]


def test_a_wrapper_finds_the_program_in_a_variable(lab: Place, place: Vassals) -> None:
    sock = place.directory / "one.sock"
    wrapper = place.directory / "wrapper"
    wrapper.write_text('#!/bin/sh\necho wrapped\nexec "$UWSGI_ORIGINAL_PROC_NAME" "$@"\n')
    wrapper.chmod(0o755)
    place.put("one.ini", *app(place, f"http-socket = {sock}"))
    emperor = govern(lab, place, f"emperor-wrapper = {wrapper}")
    told = emperor.wait_for_state("one.ini", "serving")
    assert ask(sock)[0] == told["pid"]
    assert "one.ini | wrapped\n" in emperor.log()


def test_on_demand_it_wakes_rests_and_loses_nothing_by_a_crash(lab: Place, place: Vassals) -> None:
    sock = place.directory / "one.socket"
    words = ("protocol = http", "idle = 2", "die-on-idle = true", "processes = 1")
    place.put("one.ini", *app(place, *words))
    options = (f"emperor-on-demand-directory = {place.directory}", "emperor-throttle = 10")
    emperor = govern(lab, place, *options)
    emperor.wait_for_state("one.ini", "asleep")
    first = ask(sock)[0]
    assert emperor.vassal("one.ini")["pid"] == first
    emperor.wait_for_state("one.ini", "asleep", 20.0)
    assert not alive(first)
    second = ask(sock)[0]
    assert second not in (first, -1)
    # It is stopped, connections come, and it is killed with its worker.
    (worker,) = Path(f"/proc/{second}/task/{second}/children").read_text().split()
    for pid in (second, int(worker)):
        os.kill(pid, signal.SIGSTOP)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(10)]
    for client in clients:
        client.settimeout(20.0)
        client.connect(str(sock))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    os.kill(second, signal.SIGKILL)
    answers = []
    for client in clients:
        with client, client.makefile("rb") as file:
            answers.append(file.read())
    assert all(answer.startswith(b"HTTP/1.0 200 OK\r\n") for answer in answers)
    assert not any(answer.endswith(b"%d 0" % second) for answer in answers)


def test_a_tyrants_application_is_its_owners(lab: Place, place: Vassals) -> None:
    need_root()
    theirs = place.directory / "theirs"
    theirs.mkdir()
    os.chown(theirs, USER, USER)
    home = python_home(place.directory)
    sock = theirs / "sock"
    lines = app(place, f"http-socket = {sock}")
    place.put("one.ini", *lines, owner=(USER, USER))
    variables = [f"env = {name}={value}" for name, value in home.items()]
    emperor = govern(lab, place, "emperor-tyrant = true", *variables)
    told = emperor.wait_for_state("one.ini", "serving")
    assert ask(sock) == (told["pid"], USER)
    assert sock.stat().st_uid == USER


def test_it_is_the_first_process_of_its_namespace(lab: Place, place: Vassals) -> None:
    need_root()
    sock = place.directory / "one.sock"
    place.put("one.ini", *app(place, f"http-socket = {sock}"))
    emperor = govern(
        lab,
        place,
        "emperor-use-clone = fs,net,ipc,pid,uts",
        "mount-as-vassal = proc none /proc",
    )
    told = emperor.wait_for_state("one.ini", "serving")
    assert ask(sock) == (1, 0)
    assert told["pid"] > 1
    os.kill(told["pid"], signal.SIGKILL)
    again = emperor.wait_for("one.ini", lambda one: one["restarts"] == 1 and one["accepting"])
    assert ask(sock) == (1, 0)
    assert again["pid"] != told["pid"]
    emperor.command.stop()
    wait_until(lambda: not alive(again["pid"]), "it is gone")
