"""Vassals that sleep: a request to the router beside the Emperor starts one, and waits for it."""

import re
import time
from urllib.request import urlopen

import pytest

from tests.lab.asking import Asking, ask
from tests.lab.empire import PROGRAMS
from tests.lab.place import Place
from tests.lab.processes import free_port
from tests.lab.programs import uwsgi
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.sources


def test_a_request_starts_a_vassal_that_falls_asleep_again(lab: Place) -> None:
    sockets = lab.directory / "sockets"
    sockets.mkdir()
    empire = lab.empire(f"--emperor-on-demand-directory={sockets}", "--http-processes=2")
    idle = ("[uwsgi]", "idle = 1", "die-on-idle = true")
    empire.put_app("files", PROGRAMS["files"], "replicas = 1", *idle)
    empire.put_app("other", PROGRAMS["uvicorn"], "replicas = 1", *idle)
    empire.wait_for_output("other.ini: started by the first connection to")
    empire.wait_for_http()
    assert ask(empire.port, "files.example") == 200
    assert empire.count("files.ini: started by a request") == 1
    assert "other.ini: started by a request" not in empire.output()
    empire.wait_for_output("no request for 1 s", seconds=30)
    wait_until(lambda: empire.count("[files.example] no nodes left") == 1, "it leaves", 30)
    # The key is known from before; the request starts its vassal all the same.
    assert ask(empire.port, "files.example") == 200
    assert empire.count("files.ini: started by a request") == 2
    with Asking(empire.port, "other.example") as load:
        wait_until(lambda: len(load.statuses) > 3, "it is asked", 30)
    assert set(load.statuses) == {200}


def test_no_request_is_lost_where_a_vassal_falls_asleep_and_wakes(lab: Place) -> None:
    sockets = lab.directory / "sockets"
    sockets.mkdir()
    empire = lab.empire(f"--emperor-on-demand-directory={sockets}")
    empire.put_app(
        "files", PROGRAMS["files"], "replicas = 1", "[uwsgi]", "idle = 1", "die-on-idle = true"
    )
    empire.wait_for_http()
    statuses = []
    end = time.monotonic() + 8
    while time.monotonic() < end:
        statuses.append(ask(empire.port, "files.example"))
        # About as long as it takes to fall asleep: requests come at every step of that.
        time.sleep(1.0 + len(statuses) % 7 * 0.15)
    assert set(statuses) == {200}
    assert empire.count("files.ini: started by a request") > 1


def test_a_request_that_was_there_before_its_vassal_starts_it(lab: Place) -> None:
    sockets = lab.directory / "sockets"
    sockets.mkdir()
    stats = free_port()
    empire = lab.empire(
        f"--emperor-on-demand-directory={sockets}", f"--http-stats=127.0.0.1:{stats}"
    )
    empire.wait_for_http()
    empire.wait_until_it_accepts(f"127.0.0.1:{stats}")

    def is_held() -> bool:
        with urlopen(f"http://127.0.0.1:{stats}/metrics", timeout=10) as answer:
            return bool(re.search(rb"requests_holding\{.*\} 1\.0\n", answer.read()))

    with Asking(empire.port, "files.example") as load:
        wait_until(is_held, "the request is held")
        empire.put_app("files", PROGRAMS["files"], "replicas = 1")
        wait_until(lambda: load.statuses, "it is answered", 30)
    assert load.statuses[0] == 200
    assert empire.count("files.ini: started by a request") == 1


def test_the_real_uwsgi_is_started_by_the_key_that_it_announces(lab: Place) -> None:
    sockets = lab.directory / "sockets"
    sockets.mkdir()
    announce = lab.directory / "announce"
    empire = lab.empire(
        f"--emperor-on-demand-directory={sockets}", f"--binary-path={uwsgi()}", "--emperor-graceful-shutdown",
        f"--http-subscription-server={announce}",
    )  # fmt: skip
    application = lab.directory / "application.py"
    application.write_text(
        "def application(env, start):\n    start('200 OK', [])\n    return [b'here']\n"
    )
    empire.put(
        "real.ini", "[uwsgi]", f"wsgi-file = {application}", "master = true", "socket = 127.0.0.1:0",
        f"subscribe-to = {announce}:real.example",
    )  # fmt: skip
    empire.wait_for_output("real.ini: started by the first connection to")
    empire.wait_for_http()
    assert ask(empire.port, "real.example") == 200
