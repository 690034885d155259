"""A worker that keeps dying: another one accepts on its sockets meanwhile."""

import os
import signal

from tests.lab.clients import Client
from tests.lab.place import Place
from tests.lab.reloaded import Reloaded
from tests.lab.steady import NamedNodes
from tests.lab.waiting import wait_until


def test_nobody_waits_for_a_worker_that_is_in_back_off(lab: Place, nodes: NamedNodes) -> None:
    router = Reloaded(lab, "http-workers = 2", "http-connect-timeout = 5")
    router.write(Reloaded.to(nodes, "one"))
    router.start(lab)
    # Dead over and over again: the fifth time it starts again in 4 s.
    for pause in ("at once", "in 0.5 s", "in 1 s", "in 2 s", "in 4 s"):
        wait_until(lambda: len(router.workers()) == 2, "both workers are there")
        victims = router.workers()
        length = len(router.command.output())
        os.kill(victims[0] if pause == "at once" else max(victims), signal.SIGKILL)
        router.command.wait_for_output(f"it starts again {pause}", after=length)
    # Half of these come to its socket.
    for _ in range(20):
        with Client(router.address, 3.0) as client:
            assert client.get("/").body == b"one"
    assert len(router.workers()) == 1
    wait_until(lambda: len(router.workers()) == 2, "it is back", 60.0)
    assert {router.ask() for _ in range(10)} == {"one"}
