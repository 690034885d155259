"""The Emperor of real uWSGI vassals: what they say, how they reload and end; uWSGI reads its statistics."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.emperors import Emperor, alive, touch
from tests.lab.place import Place
from tests.lab.processes import run
from tests.lab.vassals import Vassals, vassals
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.peers

APP = """
import os, time

def application(environ, start_response):
    if environ["PATH_INFO"] == "/stuck":
        time.sleep(100)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s %d" % (VERSION, os.getppid())]

VERSION = b"one"
"""


class UwsgiVassals:
    """Vassals with an application, behind sockets that speak HTTP."""

    def __init__(self, place: Vassals) -> None:
        self.place = place
        self.app = place.directory / "app.py"
        self.app.write_text(APP)

    def put(self, name: str, *lines: str) -> Path:
        """Write one."""
        sock = self.place.directory / f"{name}.sock"
        return self.place.put(
            f"{name}.ini",
            *(f"http-socket = {sock}", f"wsgi-file = {self.app}", "master = true"),
            # A worker of uWSGI that is told to end while it starts does not hear it, and is killed after this time.
            *("processes = 2", "need-app = true", "worker-reload-mercy = 2", *lines),
        )

    def ask(self, name: str, path: str = "/") -> str:
        """Return the body of its answer."""
        with Client(str(self.place.directory / f"{name}.sock"), 20.0) as client:
            return client.get(path).body.decode()


@pytest.fixture
def uwsgi() -> Iterator[UwsgiVassals]:
    with vassals() as place:
        yield UwsgiVassals(place)


def govern(lab: Place, uwsgi: UwsgiVassals, *lines: str) -> Emperor:
    return Emperor(lab, uwsgi.place, f"binary-path = {programs.uwsgi()}", *lines, fake=False)


def test_start_reload_crash_and_end(lab: Place, uwsgi: UwsgiVassals) -> None:
    one = uwsgi.put("one")
    emperor = govern(lab, uwsgi)
    first = emperor.wait_for_state("one.ini", "serving")
    assert (first["ready"], first["accepting"], first["loyal"]) == (1, 1, 0)
    assert uwsgi.ask("one") == f"one {first['pid']}"
    emperor.wait_for("one.ini", lambda one: one["loyal"])
    # A reload executes it anew, with its pid and its socket; it says 5 only.
    uwsgi.app.write_text(APP.replace('b"one"', 'b"two"'))
    touch(one)
    told = emperor.wait_for("one.ini", lambda one: one["respawns"] == 1 and one["accepting"])
    assert (told["pid"], told["ready"], told["loyal"]) == (first["pid"], 0, 1)
    assert uwsgi.ask("one") == f"two {first['pid']}"
    # It is killed: the next one takes its place at once, and its workers are not left behind.
    os.kill(first["pid"], signal.SIGKILL)
    again = emperor.wait_for("one.ini", lambda one: one["restarts"] == 1 and one["accepting"])
    assert again["last_end"] == "signal 9, SIGKILL"
    assert uwsgi.ask("one") == f"two {again['pid']}"
    emperor.command.stop()
    assert not alive(again["pid"])
    assert "one.ini | goodbye to uWSGI." in emperor.log()


def test_a_broken_application_says_why_and_comes_back_when_it_is_repaired(
    lab: Place, uwsgi: UwsgiVassals
) -> None:
    good = uwsgi.app.read_text()
    uwsgi.app.write_text("import no_such_module\n")
    one = uwsgi.put("one")
    emperor = govern(lab, uwsgi)
    dead = emperor.wait_for("one.ini", lambda one: one["last_end"])
    assert dead["last_end"] == "exit code 22"
    assert "No module named 'no_such_module'" in emperor.log()
    uwsgi.app.write_text(good)
    touch(one)
    emperor.wait_for_state("one.ini", "serving")
    assert uwsgi.ask("one").startswith("one ")


def test_heartbeats_of_a_worker_that_is_stuck(lab: Place, uwsgi: UwsgiVassals) -> None:
    uwsgi.put("one", "heartbeat = 1", "processes = 1", "worker-reload-mercy = 60")
    emperor = govern(lab, uwsgi, "emperor-required-heartbeat = 2")
    first = emperor.wait_for("one.ini", lambda one: one["last_heartbeat"])
    with Client(str(uwsgi.place.directory / "one.sock"), 20.0) as client:
        client.request("GET", "/stuck")
        told = emperor.wait_for("one.ini", lambda one: one["respawns"] == 1)
        assert told["pid"] == first["pid"]
        # It can't reload while it is stuck.
        emperor.wait_for("one.ini", lambda one: one["restarts"] == 1 and one["accepting"])
    assert uwsgi.ask("one").startswith("one ")


def test_uwsgi_reads_the_statistics(lab: Place, uwsgi: UwsgiVassals) -> None:
    uwsgi.put("one")
    emperor = govern(lab, uwsgi)
    emperor.wait_for_state("one.ini", "serving")
    done = run(programs.uwsgi(), "--connect-and-read", str(emperor.stats_path))
    found = json.loads(done.stderr)
    assert [one["id"] for one in found["vassals"]] == ["one.ini"]


def test_graceful_stop_and_idle_vassals(lab: Place, uwsgi: UwsgiVassals) -> None:
    one = uwsgi.put("one")
    uwsgi.put("idle", "idle = 1", "die-on-idle = true")
    emperor = govern(lab, uwsgi, "emperor-graceful-shutdown = true")
    first = emperor.wait_for_state("idle.ini", "serving")
    emperor.wait_for_state("one.ini", "serving")
    # It says that it wants to rest; without a socket of its own it is started again.
    emperor.wait_for("idle.ini", lambda one: one["pid"] not in (-1, first["pid"]), 20.0)
    assert "idle.ini: told to stop: it wants to be stopped" in emperor.log()
    one.unlink()
    emperor.wait_gone("one.ini")
    assert "one.ini | " in emperor.log()
    wait_until(lambda: "received message 2 from emperor" in emperor.log(), "it was told so")


def test_a_file_for_uwsgi_needs_it(lab: Place, uwsgi: UwsgiVassals) -> None:
    uwsgi.put("one")
    emperor = Emperor(lab, uwsgi.place, "env = PATH=/nowhere", fake=False)
    refused = emperor.wait_for_state("one.ini", "refused")
    assert "there is no uwsgi in PATH: install it (pip install uwsgi)" in refused["last_end"]
    assert emperor.log().count("there is no uwsgi in PATH") == 1
