"""Large tables of announced nodes: what choosing, requests and announces cost, and all at once.

Every key has ten nodes, which are ten lean uwsgi nodes on TCP ports that all keys share. Requests go
wrk, nginx, our router over UNIX, node, each for another key than the one before.

* ``choosing``: CPU per choice of a node, of the registry alone, in this process.
* ``requests``: CPU per request.
* ``announces``: CPU per announce, while there are no requests. ``failed`` are those not taken.
* ``both``: CPU per request with the announces in it. ``failed`` are requests that failed and
  announces that were not taken.
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from bench.announcing import STRIDE, Announcer
from bench.measure import Load, Run, Setup, ask, cpu_time
from bench.nginx import nginx, uwsgi_pass
from bench.programs import ROOT, Program, accepts, find, free_port, our_router
from bench.scenarios.fastrouter import LOAD as FASTROUTER_LOAD
from protocol.subscription import Subscription
from subscriptions.registry import Registry

SIZES = (1, 10, 10_000)
LARGEST = max(SIZES)
NODES = 10
#: Announces are compared over tables of so many keys, because each needs a signature.
SIGNED_KEYS = 200
#: Announces a second that are sent beside requests. With the most, each node of the largest table
#: announces itself every 10 s, as nodes do.
RATES = (1000, 3000, 10_000)
#: Announces a second, and in a run, while there are no requests.
ALONE, ALONE_COUNT = 1000, SIGNED_KEYS * NODES
CHOICES = 50_000

LOAD = Load(
    headers=FASTROUTER_LOAD.headers,
    script=f"""
local keys, key = tonumber(wrk.path:match("keys=(%d+)")), 0
local before, after
request = function()
  if not before then
    wrk.headers["Host"] = "@"
    before, after = wrk.format():match("^(.-)@(.*)$")
  end
  key = (key + {STRIDE}) % keys
  return before .. "site" .. key .. ".example.com" .. after
end
""",
)


def start(stack: ExitStack, directory: Path, tell: Callable[[str], None]) -> list[Setup]:
    """Bring up a router for each size of table and one that checks signatures, and announce.

    Args:
        stack: ends everything.
        directory: for sockets, keys and configuration.
        tell: hears what takes long.

    Raises:
        MissingError: without wrk or nginx.
        StartError: if something does not come up.
    """
    find("wrk")
    addresses = _nodes(stack)
    setups = [_choosing(keys, addresses) for keys in SIZES]

    routers: dict[int, _Router] = {}
    announcers: dict[int, Announcer] = {}
    for keys in (*SIZES, SIGNED_KEYS):
        tell(f"announcing {keys} x {NODES} nodes")
        routers[keys] = _Router(stack, directory / f"router{keys}")
        announcers[keys] = routers[keys].announces(_sites("site", keys), addresses)
    ports = _front(stack, directory, {keys: routers[keys].socket for keys in SIZES})
    urls = {keys: f"http://127.0.0.1:{ports[keys]}/articles?keys={keys}" for keys in SIZES}
    setups += [Setup(_named(keys), "requests", urls[keys], routers[keys].pid) for keys in SIZES]

    for keys in (SIGNED_KEYS, LARGEST):
        name = f"unsigned, {_named(keys)}"
        setups.append(_announcing(name, routers[keys].pid, announcers[keys]))
    setups += _signed(stack, directory, addresses, tell)

    for rate in RATES:
        name = f"{_named(LARGEST)}, {rate} announces/s"
        setup = Setup(name, "both", urls[LARGEST], routers[LARGEST].pid)
        setups.append(_both(setup, announcers[LARGEST], rate, directory, tell))
    return setups


class _Router:
    """A router with a subscription server on UDP and one on a UNIX socket."""

    def __init__(self, stack: ExitStack, directory: Path, *options: str) -> None:
        directory.mkdir()
        self._directory = directory
        self._port = free_port()
        self.socket = directory / "router.sock"
        command = [
            *our_router(),
            f"--fastrouter={self.socket}",
            f"--fastrouter-subscription-server=127.0.0.1:{self._port}",
            f"--fastrouter-subscription-server={directory}/announce.sock",
            f"--fastrouter-stats={directory}/stats.sock",
            "--stats-minified",
            "--subscription-max-rate=0",
            "--subscription-tolerance=86400",  # what is announced once stays
            "--listen=1024",
            *options,
        ]
        program = stack.enter_context(Program(f"router in {directory.name}", command, directory))
        program.wait_until(lambda: accepts(f"{directory}/stats.sock"))
        self.pid = program.pid

    def announces(
        self,
        keys: Sequence[str],
        addresses: Sequence[str],
        sign: Callable[[bytes], bytes] | None = None,
    ) -> Announcer:
        """Announce nodes for these keys; return who did it."""
        announcer = Announcer(keys, addresses, self._port, self._directory, sign)
        announcer.fill()
        return announcer


def _sites(name: str, keys: int) -> list[str]:
    return [f"{name}{number}.example.com" for number in range(keys)]


def _named(keys: int) -> str:
    return f"{keys} key{'' if keys == 1 else 's'}"


def _nodes(stack: ExitStack) -> list[str]:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(NODES)]
    for address in addresses:
        command = [sys.executable, "-m", "bench.node", address]
        node = stack.enter_context(Program(f"node {address}", command, ROOT))
        node.wait_until(lambda address=address: accepts(address))  # type: ignore[misc]
    return addresses


def _front(stack: ExitStack, directory: Path, sockets: dict[int, Path]) -> dict[int, int]:
    """Start nginx; return its port for each of the routers."""
    ports = {keys: free_port() for keys in sockets}
    front = nginx(
        stack,
        directory,
        "\n  ".join(uwsgi_pass(ports[keys], sockets[keys]) for keys in sockets),
    )
    for port in ports.values():
        front.wait_until(lambda port=port: accepts(f"127.0.0.1:{port}"))  # type: ignore[misc]
    return ports


def _choosing(keys: int, addresses: Sequence[str]) -> Setup:
    registry = Registry(started=0.0)
    names = [site.encode() for site in _sites("site", keys)]
    for address in addresses:
        for name in names:
            registry.apply(Subscription("subscribe", name, address), source=None, now=0.0)
    asked = [names[number * STRIDE % keys] for number in range(CHOICES)]

    def run(_seconds: int) -> Run:
        choose = registry.choose
        before = time.thread_time_ns()
        for key in asked:
            choose(key)
        return _run(CHOICES, 0, time.thread_time_ns() - before)

    return Setup(_named(keys), "choosing", "", os.getpid(), run)


def _announcing(name: str, pid: int, announcer: Announcer) -> Setup:
    def run(_seconds: int) -> Run:
        datagrams = announcer.datagrams(ALONE_COUNT)
        before = cpu_time(pid)
        took = announcer.send(datagrams, ALONE)
        spent = cpu_time(pid) - before
        lost = len(datagrams) - announcer.taken()
        return _run(len(datagrams) - lost, lost, spent, took)

    return Setup(name, "announces", "", pid, run)


def _both(
    setup: Setup, announcer: Announcer, rate: int, directory: Path, tell: Callable[[str], None]
) -> Setup:
    def run(seconds: int) -> Run:
        datagrams = announcer.datagrams(rate * seconds)
        took: list[float] = []
        sender = threading.Thread(target=lambda: took.append(announcer.send(datagrams, rate)))
        sender.start()
        asked = ask(setup, LOAD, seconds, directory)
        sender.join()
        if took[0] > 1.05 * seconds:
            tell(f"only {len(datagrams) / took[0]:.0f} announces/s were sent: too little CPU")
        return replace(asked, failed=asked.failed + len(datagrams) - announcer.taken())

    return replace(setup, run=run)


def _run(done: int, failed: int, spent: int, seconds: float | None = None) -> Run:
    """Return a run without requests; ``spent`` are nanoseconds of CPU."""
    took = spent / 1e9 if seconds is None else seconds
    return Run(done, failed, took, p50=0, p99=0, cpu=spent / max(1, done) / 1000)


def _signed(
    stack: ExitStack, directory: Path, addresses: Sequence[str], tell: Callable[[str], None]
) -> list[Setup]:
    """Start a router that checks signatures, one table of keys for each kind of signature."""
    rsa_key = rsa.generate_private_key(65_537, 2048)
    ec_key = ec.generate_private_key(ec.SECP256R1())
    digest = hashes.SHA256()
    kinds: dict[str, tuple[rsa.RSAPublicKey | ec.EllipticCurvePublicKey, Callable[..., bytes]]] = {
        "RSA-2048": (
            rsa_key.public_key(),
            lambda block: rsa_key.sign(block, padding.PKCS1v15(), digest),
        ),
        "P-256": (ec_key.public_key(), lambda block: ec_key.sign(block, ec.ECDSA(digest))),
    }
    keys = directory / "keys"
    keys.mkdir()
    router = _Router(stack, directory / "signed", f"--subscriptions-sign-check=SHA256:{keys}")
    setups = []
    for kind, (public, sign) in kinds.items():
        tell(f"announcing {SIGNED_KEYS} x {NODES} nodes, {kind}")
        sites = _sites(kind.lower(), SIGNED_KEYS)
        public_file = directory / f"{kind}.pem"
        public_file.write_bytes(
            public.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        for site in sites:
            shutil.copy(public_file, keys / f"{site}.pem")
        announcer = router.announces(sites, addresses, sign)
        setups.append(_announcing(f"{kind}, {_named(SIGNED_KEYS)}", router.pid, announcer))
    return setups
