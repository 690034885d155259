"""Large tables of announced nodes: cost of choosing, of requests and of announces, and all at once.

Every key has four nodes, which are four lean uwsgi nodes on TCP ports that all keys share. Requests go
wrk, nginx, our router over UNIX, node, each for another key than the one before.

* ``choosing``: CPU per choice of a node, of the registry alone, in this process.
* ``requests``: CPU per request, of setups that alternate. Two routers have one key: what they differ by
  is what this way of measuring cannot tell.
* ``announces``: CPU per announce, while there are no requests. ``failed`` are those not taken.
* ``both``: CPU per request with the announces in it. ``failed`` are requests that failed and
  announces that were not taken.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from bench import heads
from bench.announcing import STRIDE, Announcer
from bench.measure import ANNOUNCE, CHOICE, Load, Run, Setup, ask, cpu_time
from bench.nginx import nginx, uwsgi_pass
from bench.programs import Program, accepts, find, free_port, our_router
from bench.scenarios.nodes import lean
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.registry import Registry

SIZES = (1, 100, 10_000)
LARGEST = max(SIZES)
#: The second router with one key.
AGAIN = "1 key, another router"
NODES = 4
#: Announces are compared over tables of so many keys, because each needs a signature.
SIGNED_KEYS = 250
#: Announces a second that are sent beside requests: each node of the largest table announces itself
#: every 10 s, as nodes do.
BESIDE = LARGEST * NODES // 10
#: Announces a second, and in a run, while there are no requests.
ALONE, ALONE_COUNT = 1000, 1000
CHOICES = 50_000

LOAD = Load(paced=False)


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
    ports = [free_port() for _ in range(NODES)]
    addresses = [lean(stack, "bench.node", f"127.0.0.1:{port}") for port in ports]
    setups = [_choosing(keys, addresses) for keys in SIZES]

    routers: dict[int, _Router] = {}
    announcers: dict[int, Announcer] = {}
    for keys in (*SIZES, SIGNED_KEYS):
        tell(f"announcing {keys} x {NODES} nodes")
        routers[keys] = _Router(stack, directory / f"router{keys}")
        announcers[keys] = routers[keys].announces(_sites("site", keys), addresses)
    again = _Router(stack, directory / "again")
    again.announces(_sites("site", 1), addresses)
    asked = [
        (_named(1), 1, routers[1]),
        (AGAIN, 1, again),
        *((_named(keys), keys, routers[keys]) for keys in SIZES if keys != 1),
    ]
    doors = _front(stack, directory, [router.socket for _name, _keys, router in asked])
    requests = [
        Setup(
            name,
            "requests",
            f"http://127.0.0.1:{door}/",
            router.pid,
            load=_load(keys),
            reference=name == _named(1),
            alternating=True,
        )
        for (name, keys, router), door in zip(asked, doors, strict=True)
    ]
    setups += requests

    for keys in (SIGNED_KEYS, LARGEST):
        name = f"unsigned, {_named(keys)}"
        setups.append(_announcing(name, routers[keys].pid, announcers[keys]))
    setups += _signed(stack, directory, addresses, tell)

    name = f"{_named(LARGEST)}, {BESIDE} announces/s"
    largest = requests[-1]
    both = Setup(name, "both", largest.url, largest.pid, load=largest.load)
    setups.append(_both(both, _load(LARGEST), announcers[LARGEST], directory, tell))
    return setups


def _load(keys: int) -> Load:
    return heads.keyed_load(heads.FROM_SERVER, "site", ".example.com", keys=keys, stride=STRIDE)


class _Router:
    """Router with a subscription server on UDP and one on a UNIX socket."""

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
            "--subscription-max-keys=20000",
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


def _front(stack: ExitStack, directory: Path, sockets: Sequence[Path]) -> list[int]:
    """Start nginx; return its port for each of the routers."""
    ports = [free_port() for _ in sockets]
    blocks = [uwsgi_pass(port, path) for port, path in zip(ports, sockets, strict=True)]
    front = nginx(stack, directory, "\n  ".join(blocks))
    for port in ports:
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
        spent = time.thread_time_ns() - before
        return Run(CHOICES, 0, spent / 1e9, spent)

    return Setup(_named(keys), "choosing", "", os.getpid(), CHOICE, reference=keys == 1, run=run)


def _announcing(name: str, pid: int, announcer: Announcer) -> Setup:
    def run(_seconds: int) -> Run:
        datagrams = announcer.datagrams(ALONE_COUNT)
        before = cpu_time(pid)
        took = announcer.send(datagrams, ALONE)
        spent = cpu_time(pid) - before
        lost = len(datagrams) - announcer.taken()
        return Run(len(datagrams) - lost, lost, took, spent)

    return Setup(name, "announces", "", pid, ANNOUNCE, run=run)


def _both(
    setup: Setup,
    load: Load,
    announcer: Announcer,
    directory: Path,
    tell: Callable[[str], None],
) -> Setup:
    def run(seconds: int) -> Run:
        datagrams = announcer.datagrams(BESIDE * seconds)
        took: list[float] = []
        sender = threading.Thread(target=lambda: took.append(announcer.send(datagrams, BESIDE)))
        sender.start()
        asked = ask(setup, load, seconds, directory)
        sender.join()
        if took[0] > 1.05 * seconds:
            tell(f"only {len(datagrams) / took[0]:.0f} announces/s were sent: too little CPU")
        return replace(asked, failed=asked.failed + len(datagrams) - announcer.taken())

    return replace(setup, run=run)


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
