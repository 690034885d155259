"""Workers and a keeper as real processes: one table for all, whoever of them dies."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.commands import HttpRouter
from tests.lab.load import Load
from tests.lab.messages import HOST
from tests.lab.nodes import Node, in_a_thread
from tests.lab.place import Place, temporary
from tests.lab.processes import free_port
from tests.lab.tls import Authority
from tests.lab.waiting import wait_until
from tests.loads.vassals import rolling
from uwsgi_router.protocol.control import Question, encode_question
from uwsgi_router.protocol.subscription import Subscription

pytestmark = pytest.mark.skipif(
    programs.ROUTER_UNDER_TEST == "uwsgi", reason="uWSGI's processes share no table"
)

WORKERS = 3


@pytest.fixture(scope="module")
def site() -> Iterator["Site"]:
    with in_a_thread() as node, temporary() as lab:
        yield Site(lab, node)


class Site:
    """A router with several workers, and a node."""

    def __init__(self, lab: Place, node: Node) -> None:
        self.node = node
        self.control = str(lab.directory / "control.sock")
        self.router: HttpRouter = lab.http_router(
            f"--http-processes={WORKERS}", f"--control-socket={self.control}", subscriptions=True
        )
        self.announce()
        wait_until(lambda: node.address in self.router.nodes(), "the node is known")

    def announce(self) -> None:
        self.router.say(
            Subscription("subscribe", HOST.encode(), self.node.address, proto=self.node.proto)
        )

    def children(self, role: str) -> dict[str, int]:
        """Process ids of the children whose names begin so."""
        found = {}
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/stat") as stat, open(f"/proc/{entry}/cmdline") as line:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
                    name = line.read().rstrip("\0").rpartition("\0")[2]
            except OSError:
                continue
            if entry.isdigit() and parent == self.router.pid and name.startswith(role):
                found[name] = int(entry)
        return found

    def keeper(self) -> int:
        (pid,) = self.children("the keeper").values()
        return pid

    def kill_keeper(self) -> None:
        """Kill it, and wait until another one serves statistics."""
        before = self.keeper()
        os.kill(before, signal.SIGKILL)

        def another() -> bool:
            pids = self.children("the keeper").values()
            return before not in pids and len(self.workers()) == WORKERS

        wait_until(another, "another keeper has all workers")

    def workers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.router.stats().get("workers", [])
        return found

    def statuses(self, count: int) -> set[int]:
        """The statuses of requests on so many connections."""
        found = set()
        for _ in range(count):
            with self.router.client() as client:
                client.request("GET", "/", "Connection: close")
                answer, _ = client.ending()
                found.add(int(answer.split(b" ")[1]))
        return found

    def steer(self, question: Question) -> bytes:
        with Client(self.control) as client:
            client.send(encode_question(question))
            client.sock.shutdown(socket.SHUT_WR)
            return client.rest()

    def requests(self) -> int:
        found: int = self.router.nodes()[self.node.address]["requests"]
        return found

    def fallen(self, before: dict[str, float]) -> list[str]:
        """The counters that are less than they were."""
        after = self.counters()
        return [name for name, count in before.items() if after.get(name, 0) < count]

    def counters(self) -> dict[str, float]:
        with Client(str(self.router._stats)) as client:
            client.send(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = client.rest().decode()
        lines = re.findall(r"^(uwsgi_router_\S*_total\S*) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in lines}


def test_all_workers_have_one_table_and_a_drain_holds_in_all(site: Site) -> None:
    assert site.statuses(40) == {200}
    wait_until(lambda: site.requests() >= 40, "all are counted")
    workers = site.workers()
    assert [one["id"] for one in workers] == list(range(1, WORKERS + 1))
    assert sum(one["requests"] for one in workers) == site.requests()
    assert set(site.children("worker").values()) == {one["pid"] for one in workers}
    assert b'"ok":true' in site.steer(Question("drain", site.node.address))
    assert site.statuses(40) == {503}
    assert b'"ok":true' in site.steer(Question("enable", site.node.address))
    wait_until(lambda: site.statuses(20) == {200}, "it is used again, in all workers")


def test_the_numbers_of_a_worker_that_died_stay(site: Site) -> None:
    site.statuses(40)
    workers = site.workers()
    before = site.counters()
    victim = workers[1]["pid"]
    os.kill(victim, signal.SIGKILL)

    def another() -> bool:
        pids = {one["pid"] for one in site.workers()}
        return victim not in pids and len(pids) == WORKERS

    wait_until(another, "another one is there")
    assert site.fallen(before) == []
    assert site.statuses(20) == {200}


def test_the_keeper_may_die_again_and_again_without_a_lost_request(site: Site) -> None:
    load = Load(int(site.router.address.rpartition(":")[2]), clients=4)
    load.start()
    try:
        for _ in range(2):
            load.wait_for(50)
            before = site.counters()
            site.kill_keeper()
            assert site.fallen(before) == []
    finally:
        load.stop()
    assert load.lost() == {}
    assert site.node.address in site.router.nodes(), "no announce has come since"


@pytest.mark.peers
def test_a_rolling_restart_of_every_vassal_loses_nothing(lab: Place) -> None:
    load, restarts = rolling(lab, clients=8, seconds=0)
    assert restarts == 6
    assert load.lost() == {}


def test_the_keeper_ends_after_its_workers(site: Site) -> None:
    site.router.stop()
    assert not site.children("")


def test_the_keeper_tells_of_certificates_that_only_workers_load(tmp_path: Path) -> None:
    authority = Authority.made(tmp_path / "tls")
    files = authority.issue()
    named = Authority(authority.ca, tmp_path / "names")
    named.directory.mkdir()
    named.issue("shop.example")
    port = free_port()
    with in_a_thread() as node, temporary() as lab:
        router = lab.http_router(
            "--http-processes=2",
            f"--https=127.0.0.1:{port},{files.certificate},{files.key}",
            f"--sni-dir={named.directory}",
            f"--http-to={node.address}",
        )

        def told() -> bool:
            with Client(router._stats) as client:
                return b'certificate="shop.example"' in client.get("/metrics").body

        assert not told()
        with (
            socket.create_connection(("127.0.0.1", port)) as sock,
            authority.client().wrap_socket(sock, server_hostname="shop.example"),
        ):
            wait_until(told, "the keeper knows it")
