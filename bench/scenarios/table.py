"""Large tables of announced nodes: cost of choosing, of requests and of announces, and all at once.

Every key has four nodes, which are four lean uwsgi nodes on TCP ports that all keys share. Requests go
wrk, nginx, our router over UNIX, node, each for another key than the one before.

* ``choosing``: CPU per choice of a node, of the registry alone, in this process, which is plain.
* ``requests``, ``requests, plain``: CPU per request, of setups that alternate, for each build of the
  router. Two routers have one key: what they differ by is what this way of measuring cannot tell.
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
from bench.programs import MissingError, Program, accepts, find, free_port
from bench.scenarios.nodes import lean
from bench.scenarios.variants import BUILDS, Variant
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.registry import Registry

SIZES = (1, 100, 10_000)
LARGEST = max(SIZES)
#: Of the plain build: keys, and that the router is no control.
ENDS = ((1, False), (LARGEST, False))
REQUESTS, PLAIN_REQUESTS = "requests", "requests, plain"
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

    builds = [variant for variant in BUILDS if _is_there(variant, tell)]
    asked = [
        _Asked(stack, directory, tell, variant, keys, addresses, again=again)
        for variant in builds
        # The control is a third router of the first build.
        for keys, again in (
            ((1, False), (1, True), (LARGEST, False)) if variant is builds[0] else ENDS
        )
    ]
    doors = _front(stack, directory, [each.router.socket for each in asked])
    setups += [each.setup(door) for each, door in zip(asked, doors, strict=True)]

    usual = builds[0]
    largest, its_door = asked[2], doors[2]
    tell(f"announcing {SIGNED_KEYS} x {NODES} nodes")
    small = _Router(stack, directory / "small", usual)
    for router, keys, announcer in (
        (small, SIGNED_KEYS, small.announces(_sites("site", SIGNED_KEYS), addresses)),
        (largest.router, LARGEST, largest.announcer),
    ):
        setups.append(_announcing(f"unsigned, {_named(keys)}", router.pid, announcer))
    setups += _signed(stack, directory, usual, addresses, tell)

    name = f"{_named(LARGEST)}, {BESIDE} announces/s"
    both = Setup(
        name, "both", f"http://127.0.0.1:{its_door}/", largest.router.pid, load=_load(LARGEST)
    )
    setups.append(_both(both, _load(LARGEST), largest.announcer, directory, tell))
    return setups


def _is_there(variant: Variant, tell: Callable[[str], None]) -> bool:
    try:
        variant.command()
    except MissingError as exc:
        tell(f"left out: {variant.name}: missing {exc}")
        return False
    return True


class _Asked:
    """Router of a build with a table of one size, which gets requests."""

    def __init__(
        self,
        stack: ExitStack,
        directory: Path,
        tell: Callable[[str], None],
        variant: Variant,
        keys: int,
        addresses: Sequence[str],
        *,
        again: bool,
    ) -> None:
        self._plain = not variant.compiled
        self._keys = keys
        self._again = again
        word = f"{'plain' if self._plain else 'compiled'}{keys}{'again' if again else ''}"
        tell(f"announcing {keys} x {NODES} nodes, {variant.name}")
        self.router = _Router(stack, directory / word, variant)
        self.announcer = self.router.announces(_sites("site", keys), addresses)

    def setup(self, door: int) -> Setup:
        """Return what is measured of it, behind this port of nginx."""
        return Setup(
            AGAIN if self._again else _named(self._keys),
            PLAIN_REQUESTS if self._plain else REQUESTS,
            f"http://127.0.0.1:{door}/",
            self.router.pid,
            load=_load(self._keys),
            reference=self._keys == 1 and not self._again,
            alternating=True,
        )


def _load(keys: int) -> Load:
    return heads.keyed_load(heads.FROM_SERVER, "site", ".example.com", keys=keys, stride=STRIDE)


class _Router:
    """Router with a subscription server on UDP and one on a UNIX socket."""

    def __init__(self, stack: ExitStack, directory: Path, variant: Variant, *options: str) -> None:
        directory.mkdir()
        self._directory = directory
        self._port = free_port()
        self.socket = directory / "router.sock"
        command = variant.command(
            f"--fastrouter={self.socket}",
            f"--fastrouter-subscription-server=127.0.0.1:{self._port}",
            f"--fastrouter-subscription-server={directory}/announce.sock",
            f"--fastrouter-stats={directory}/stats.sock",
            "--stats-minified",
            "--subscription-max-rate=0",
            "--subscription-max-keys=20000",
            "--subscription-tolerance=86400",  # what is announced once stays
            *options,
        )
        program = stack.enter_context(Program(f"router in {directory.name}", command, directory))
        # Bound one after the other.
        bound = directory / "announce.sock"
        program.wait_until(lambda: bound.exists() and accepts(f"{directory}/stats.sock"))
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
    # Of one source a table takes no more than three quarters of its room.
    registry = Registry(started=0.0, max_keys=2 * LARGEST)
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
    stack: ExitStack,
    directory: Path,
    variant: Variant,
    addresses: Sequence[str],
    tell: Callable[[str], None],
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
    router = _Router(
        stack, directory / "signed", variant, f"--subscriptions-sign-check=SHA256:{keys}"
    )
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
