"""Loads of reloads and deaths, a minute each: ``make reload-load``; exits with 1 if a request is lost that need not be.

| load | every 5 s | lost may be |
|---|---|---|
| reload | HUP, with another node in the configuration | none; old nodes answer new connections never, older ones once |
| worker | SIGKILL of one of two workers | what was inside it |
| keeper | SIGKILL of the keeper | none |
| vassals | one of three vassals reloads, or leaves and another process comes, all the time | none |
| flood | three times the capacity, all the time | none; see below |
| flood-black-hole | the same, and one of two nodes answers no connect | none; see below |
| flat | 200 reloads one after the other, with two workers | descriptors, processes and memory must not grow |

During a flood the nodes must serve 90 % of their capacity, 99 % of the accepted requests be answered within the limit
of the queue, and all be as before 5 s after its end; all others get 503 with Retry-After.
"""

import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.place import Place, temporary
from tests.lab.processes import children_of, free_port
from tests.lab.reloaded import Reloaded, name_of
from tests.lab.steady import NamedNodes, SteadyLoad
from tests.lab.waiting import wait_until
from tests.loads.flood import black_hole, flood
from tests.loads.vassals import vassals
from uwsgi_router.protocol.subscription import Subscription, encode

CLIENTS = 64
EVERY = 5.0


def main(seconds: float, names: list[str]) -> int:
    """Run the loads; return the exit status."""
    status = 0
    for name, load in LOADS.items():
        if names and name not in names:
            continue
        with temporary() as lab:
            nodes = NamedNodes("one", "two")
            try:
                good, text = load(lab, nodes, seconds)
            finally:
                nodes.close()
        sys.stdout.write(f"{name}: {'ok' if good else 'FAILED'}: {text}\n")
        sys.stdout.flush()
        status |= not good
    return int(status)


def reload(lab: Place, nodes: NamedNodes, seconds: float) -> tuple[bool, str]:
    """HUP with a configuration that goes back and forth between two nodes."""
    router = Reloaded(lab)
    router.write(router.to(nodes, "one"))
    router.start(lab)
    load = SteadyLoad(router.address, CLIENTS)
    ready: list[tuple[float, str]] = []
    end = time.monotonic() + seconds
    names = ["two", "one"]
    while time.monotonic() < end:
        begun = time.monotonic()
        name = names[len(ready) % 2]
        router.write(router.to(nodes, name))
        ready.append((router.reload(), name))
        time.sleep(max(0.0, EVERY - (time.monotonic() - begun)))
    load.stop()
    lost = load.lost()
    wrong = twice = 0
    for (since, name), (until, _) in zip(ready, [*ready[1:], (end + 1e9, "")], strict=True):
        # The next configuration may be served some time before it is known to be ready.
        old = [one for one in load.asked if one.node not in ("", name)]
        asked = [one for one in old if since <= one.started and one.ended < until - EVERY / 2]
        wrong += sum(one.opened >= since for one in asked)
        counts: dict[int, int] = {}
        for one in asked:
            counts[one.connection] = counts.get(one.connection, 0) + 1
        twice += sum(count > 1 for count in counts.values())
    text = (
        f"{len(load.asked)} requests, {len(ready)} reloads, lost {dict(lost)}; old node on new connections {wrong},"
        f" more than once on older ones {twice}"
    )
    return not lost and not wrong and not twice, text


def announced(lab: Place, nodes: NamedNodes) -> tuple[Reloaded, str]:
    """A router with two workers and an announced node, and where that announces itself."""
    announce = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    router = Reloaded(lab, "http-workers = 2", f"http-subscription-server = {announce}")
    router.write()
    router.start(lab)
    _announce(announce, nodes)
    wait_until(lambda: router.ask() == "one", "the node is known")
    return router, announce


def _announce(server: str, nodes: NamedNodes) -> None:
    host, port = server.split(":")
    data = encode(Subscription("subscribe", b"example.com", nodes.addresses["one"], proto="http"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(data, (host, int(port)))


def kills(
    router: Reloaded, seconds: float, victims: Callable[[], list[int]]
) -> tuple[SteadyLoad, int]:
    """Kill one of these every five seconds, under load."""
    load = SteadyLoad(router.address, CLIENTS)
    killed, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        found = victims()
        if found:
            os.kill(random.choice(found), signal.SIGKILL)
            killed += 1
        time.sleep(EVERY)
    load.stop()
    return load, killed


def worker(lab: Place, nodes: NamedNodes, seconds: float) -> tuple[bool, str]:
    """SIGKILL of a worker; a client has one request at a time, and half of them are with the other worker."""
    router, _server = announced(lab, nodes)
    load, killed = kills(router, seconds, router.workers)
    lost = load.lost()
    text = f"{len(load.asked)} requests, {killed} workers killed, lost {dict(lost)}"
    return sum(lost.values()) <= killed * CLIENTS, text


def keeper(lab: Place, nodes: NamedNodes, seconds: float) -> tuple[bool, str]:
    """SIGKILL of the keeper."""
    router, _server = announced(lab, nodes)

    def keepers() -> list[int]:
        pids = children_of(router.command.pid)
        return [pid for pid in pids if name_of(pid).startswith("router-k")]

    load, killed = kills(router, seconds, keepers)
    lost = load.lost()
    text = f"{len(load.asked)} requests, {killed} keepers killed, lost {dict(lost)}"
    return not lost, text


def flat(lab: Place, nodes: NamedNodes, seconds: float) -> tuple[bool, str]:
    """Many reloads, one after the other: of a master, a keeper and two workers with an announced node."""
    router, server = announced(lab, nodes)

    def held() -> tuple[int, int, int, int]:
        pids = [router.command.pid, *children_of(router.command.pid)]
        memory = [_anonymous(pid) for pid in pids]
        descriptors = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
        return len(pids), descriptors, memory[0], sum(memory[1:])

    assert router.reload_and_wait(router.pidfile).returncode == 0
    before = held()
    count = max(2, int(seconds * 200 / 60))
    for _ in range(count):
        _announce(server, nodes)
        done = router.reload_and_wait(router.pidfile)
        assert done.returncode == 0, done.stderr
    after = held()
    assert router.ask() == "one"
    names = "processes, descriptors, KB of the master, KB of its children"
    text = f"{count} reloads; {names}: {before} before, {after} after"
    good = after[:2] == before[:2] and after[2] < before[2] + 512 and after[3] < before[3] * 1.1
    return good, text


def _anonymous(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0])


LOADS = {
    "reload": reload,
    "worker": worker,
    "keeper": keeper,
    "vassals": vassals,
    "flat": flat,
    "flood": flood,
    "flood-black-hole": black_hole,
}

if __name__ == "__main__":
    sys.exit(main(float(os.environ.get("SECONDS", "60")), sys.argv[1:]))
