"""Stop of a program with an Emperor and a router: requests end first."""

import http.client
import signal
import threading

import pytest

from tests.lab.empire import PROGRAMS
from tests.lab.place import Place
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.sources


def test_requests_that_run_are_answered_before_vassals_stop(lab: Place) -> None:
    empire = lab.empire()
    empire.put_app("slow", PROGRAMS["uvicorn"], "replicas = 1")
    empire.wait_for_http()
    empire.wait_for_output("slow.ini: ready to accept")
    statuses: list[int] = []

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", empire.port, timeout=30)
        connection.request("GET", "/slow?3", headers={"Host": "slow.example"})
        statuses.append(connection.getresponse().status)
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: '"running": 1' in empire.status(), "the request runs")
    empire.signal(signal.SIGTERM)
    thread.join()
    assert statuses == [200]
    assert empire.wait(40) == 0
