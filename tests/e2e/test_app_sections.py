"""``[app NAME]`` sections at a rollout: files are read again, and what has changed in them takes effect."""

import os
import signal
import sys
import threading
import time

import pytest

from tests.lab.place import Place
from tests.lab.processes import free_port
from tests.lab.programs import uwsgi_router
from tests.lab.serving import ROOT, Served
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.sources

_ROUTER = "[uwsgi]\nhttp = 127.0.0.1:{port}\ncontrol-socket = {control}\n"
_UVICORN = f"{sys.executable} -m uvicorn --no-access-log tests.peers.served:asgi --port {{port}}"


def app(name: str, *lines: str, command: str = _UVICORN, replicas: int = 1) -> str:
    words = (f"command = {command}", f"replicas = {replicas}", f"cwd = {ROOT}", *lines)
    return "\n".join((f"[app {name}]", *words, ""))


class FromFile:
    """Applications of a file, which a test writes anew."""

    def __init__(self, lab: Place, *apps: str) -> None:
        self.file = lab.directory / "apps.ini"
        self.head = _ROUTER.format(port=(port := free_port()), control=lab.directory / "serve.sock")
        self.write(*apps)
        self.served: Served = lab.served(argv=(uwsgi_router(), str(self.file)))
        self.served.port = port
        self.served.wait_for_http()

    def write(self, *apps: str) -> None:
        self.file.write_text(self.head + "".join(apps))

    def apps(self) -> dict[str, int]:
        """Return the number of copies that serve of each application."""
        found: dict[str, int] = {}
        for copy in self.served.copies():
            if copy["state"] == "serving":
                found[copy["app"]] = found.get(copy["app"], 0) + 1
        return found


def test_changed_new_and_removed_sections_take_effect_at_a_rollout(lab: Place) -> None:
    one = FromFile(lab, app("shop", "host = shop.example"), app("old", "host = old.example"))
    served = one.served
    served.wait_for_copies(2)
    one.write(
        app(
            "shop",
            "host = shop.example",
            "host = www.shop.example",
            "env = COLOUR=blue",
            replicas=2,
        ),
        app("new", "host = new.example"),
    )
    done = served.rollout()
    assert (done.returncode, done.stdout) == (0, "rolled out 2 applications\n")
    wait_until(lambda: one.apps() == {"shop": 2, "new": 1}, "they serve")
    assert "shop has changed: replicas, host, env" in served.output()
    for host in ("shop.example", "www.shop.example", "new.example"):
        assert served.get(host=host)[0] == 200
    served.wait_for_output("old is in no file any more: it stops")
    wait_until(lambda: len(served.copies()) == 3, "its copy stops")
    assert served.stop(80) == 0


def test_the_host_of_a_removed_section_is_unknown_at_once(lab: Place) -> None:
    one = FromFile(lab, app("shop", "host = shop.example"), app("old", "host = old.example"))
    served = one.served
    served.wait_for_copies(2)
    one.write(app("shop", "host = shop.example"))
    # Requests of a client that goes on asking are answered by the application, or not at all: none waits.
    answers: list[tuple[int, float]] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            began = time.monotonic()
            answers.append((served.get(host="old.example")[0], time.monotonic() - began))

    client = threading.Thread(target=ask)
    client.start()
    try:
        served.signal(signal.SIGHUP)
        served.wait_for_output("old is in no file any more: it stops")
        wait_until(lambda: one.apps() == {"shop": 1}, "it has stopped")
        wait_until(lambda: answers[-1][0] == 404, "it is unknown")
    finally:
        over.set()
        client.join()
    statuses = [status for status, _ in answers]
    assert statuses == sorted(statuses)
    assert set(statuses) == {200, 404}
    assert max(seconds for _, seconds in answers) < 5
    assert served.get(host="shop.example")[0] == 200


def test_hup_does_the_same_and_a_name_that_comes_back_is_another_application(lab: Place) -> None:
    one = FromFile(lab, app("shop", "host = shop.example"), app("rest"))
    served = one.served
    served.wait_for_copies(2)
    one.write(app("shop", "host = shop.example"))
    served.signal(signal.SIGHUP)
    served.wait_for_output("rest is in no file any more: it stops")
    wait_until(lambda: one.apps() == {"shop": 1}, "it has stopped")
    one.write(app("shop", "host = shop.example"), app("rest"))
    assert served.rollout().returncode == 0
    assert served.get(host="other.example")[0] == 200
    assert [copy["copy"] for copy in served.wait_for_copies(2)][1] == "rest.2"


def test_a_changed_section_that_fails_goes_on_as_it_was_and_nothing_is_removed(lab: Place) -> None:
    one = FromFile(lab, app("shop", "host = shop.example"), app("old", "host = old.example"))
    served = one.served
    (shop, old) = served.wait_for_copies(2)
    one.write(app("shop", command=f"{sys.executable} -c raise(SystemExit(5))", replicas=2))
    done = served.rollout()
    assert done.returncode == 1
    assert "rollout of shop failed: ended with exit code 5" in done.stderr
    served.wait_for_output("old stays, although it is in no file any more, as shop could not be")
    assert [copy["pid"] for copy in served.wait_for_copies(2)] == [shop["pid"], old["pid"]]
    # What dies now is replaced by what worked.
    os.kill(shop["pid"], signal.SIGKILL)
    wait_until(lambda: one.apps() == {"shop": 1, "old": 1}, "it is replaced")
    assert served.get()[0] == 200
    one.write(app("shop", "host = shop.example"))
    assert served.rollout().returncode == 0
    wait_until(lambda: one.apps() == {"shop": 1}, "the other one stops")
    assert served.get()[0] == 200


def test_a_file_with_a_mistake_changes_nothing(lab: Place) -> None:
    one = FromFile(lab, app("shop"))
    served = one.served
    before = served.wait_for_copies(1)
    one.write(app("shop", "hots = shop.example"))
    done = served.rollout()
    assert done.returncode == 1
    assert "hots is no option of applications; did you mean host?" in done.stderr
    served.signal(signal.SIGHUP)
    served.wait_for_output("no rollout, everything goes on as before")
    assert [c["pid"] for c in served.copies()] == [c["pid"] for c in before]


def test_one_application_is_rolled_out_as_the_file_has_it_now(lab: Place) -> None:
    one = FromFile(lab, app("shop", "host = shop.example"), app("rest"))
    served = one.served
    served.wait_for_copies(2)
    one.write(app("shop", "host = shop.example"), app("third", "host = third.example"))
    assert served.rollout("--app", "third").returncode == 0
    assert one.apps() == {"shop": 1, "rest": 1, "third": 1}
    assert served.get(host="third.example")[0] == 200
    assert "rest is in no file any more" in served.rollout("--app", "rest").stderr
    assert "there is no application none" in served.rollout("--app", "none").stderr
