"""Rolling restart: every vassal after the other, behind a router with a master and several workers, under load."""

import time

from tests.lab.commands import HttpRouter
from tests.lab.place import Place
from tests.lab.servers import Vassal
from tests.lab.steady import SteadyLoad
from tests.lab.waiting import wait_until

WORKERS = 2
_NAMES = ("one", "two", "three")


def rolling(lab: Place, clients: int, seconds: float) -> tuple[SteadyLoad, int]:
    """Restart each of three vassals in both ways, again and again for so long; return the load and how many restarts.

    A vassal reloads by itself (HUP), or leaves, and another process comes at its address.
    """
    router = lab.http_router(
        f"--http-processes={WORKERS}", "--http-keepalive", subscriptions=True, open_files=4096
    )
    vassals = {name: _vassal(lab, name, router) for name in _NAMES}
    addresses = [vassal.address for vassal in vassals.values()]
    router.wait_for_nodes(*addresses)
    load = SteadyLoad(router.address, clients, pause=0.002)
    restarts, end = 0, time.monotonic() + seconds
    try:
        while not restarts or time.monotonic() < end:
            for name in _NAMES:
                load.wait_for(5 * clients)
                vassals[name].reload()
                _is_back(router, load, addresses, name)
            for name in _NAMES:
                load.wait_for(5 * clients)
                vassals[name].stop()
                vassals[name] = _vassal(lab, name, router, vassals[name].address)
                _is_back(router, load, addresses, name)
            restarts += 2 * len(_NAMES)
    finally:
        load.stop()
    return load, restarts


def _vassal(lab: Place, name: str, router: HttpRouter, address: str | None = None) -> Vassal:
    options = ["--unsubscribe-on-graceful-reload"]
    return lab.vassal(name, router, address=address, options=options, announce_every=1)


def _is_back(router: HttpRouter, load: SteadyLoad, addresses: list[str], name: str) -> None:
    """Wait until a vassal is in the table and answers."""
    router.wait_for_nodes(*addresses)
    since = time.monotonic()

    def answers() -> bool:
        return any(
            one.node.split(" ")[0] == name and one.started > since for one in load.asked[-500:]
        )

    wait_until(answers, f"{name} answers again")


def vassals(lab: Place, _nodes: object, seconds: float) -> tuple[bool, str]:
    """Restart every vassal, one after the other."""
    load, restarts = rolling(lab, 64, seconds)
    lost = load.lost()
    text = f"{len(load.asked)} requests, {restarts} restarts of vassals, lost {dict(lost)}"
    return not lost, text
