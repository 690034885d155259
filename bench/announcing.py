"""Announcer for benchmarks: announces many nodes, and counts in the stats which were taken."""

import itertools
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.programs import StartError
from uwsgi_router.protocol.subscription import Subscription, encode

#: Keys are gone through in steps of this, not in the order in which they lie in memory. It has no
#: divisor in common with the numbers of keys.
STRIDE = 7919

_HEADER = 4
_MARKS = itertools.count(1)


class Announcer:
    """Announcer of a table's nodes: every key has a node at every address.

    Each call of :meth:`datagrams` makes announces with a mark of their own, as the node's ``load``:
    the stats tell then which ones the router took.

    Args:
        keys: the keys.
        addresses: where the nodes of each key are.
        port: UDP port of the router's subscription server.
        directory: where the router has ``announce.sock`` (another subscription server) and
            ``stats.sock``.
        sign: makes the signature of a packet's variables; None: announces are not signed.
    """

    def __init__(
        self,
        keys: Sequence[str],
        addresses: Sequence[str],
        port: int,
        directory: Path,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> None:
        order = [keys[number * STRIDE % len(keys)].encode() for number in range(len(keys))]
        # What a key announces first is chosen first: without turns all requests would go to one node
        # at a time, as long as there are keys that were not asked for.
        self._nodes = [
            (key, addresses[(turn + number) % len(addresses)])
            for turn in range(len(addresses))
            for number, key in enumerate(order)
        ]
        self._turn = itertools.cycle(self._nodes)
        self._port = port
        self._directory = directory
        self._sign = sign
        self._mark = 0
        # No time of a signed packet is good for two, and no node may announce two in a second.
        self._epoch = int(time.time()) - 3600

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self._nodes)

    def datagrams(self, count: int) -> list[bytes]:
        """Return announces of the next ``count`` nodes, all different: at most all that there are."""
        self._mark = next(_MARKS)
        return [self._datagram(*next(self._turn)) for _ in range(min(count, len(self)))]

    def _datagram(self, key: bytes, address: str) -> bytes:
        said = Subscription("subscribe", key, address, cores=1, load=self._mark)
        if self._sign is not None:
            said = replace(said, unix=self._epoch + self._mark)
            said = replace(said, sign=self._sign(encode(said)[_HEADER:]))
        return encode(said)

    def fill(self) -> None:
        """Announce every node.

        Over the UNIX socket, which holds the sender up where UDP loses.

        Raises:
            StartError: if the router did not take them all.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(str(self._directory / "announce.sock"))
            for datagram in self.datagrams(len(self)):
                sock.send(datagram)
        if self.taken() != len(self):
            raise StartError(f"the router took {self.taken()} of {len(self)} nodes")

    def send(self, datagrams: Sequence[bytes], rate: float) -> float:
        """Send them over UDP, so many a second, and wait until they are read.

        Returns:
            The seconds from the first to the last.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", self._port))
            start = time.monotonic()
            for number, datagram in enumerate(datagrams):
                early = start + number / rate - time.monotonic()
                if early > 0:
                    time.sleep(max(early, 0.001))
                sock.send(datagram)
            took = time.monotonic() - start
        while _unread(self._port):
            time.sleep(0.01)
        time.sleep(0.05)  # the last ones are read, but perhaps not yet obeyed
        return took

    def taken(self) -> int:
        """Return how many of the announces made last are in the router's table."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self._directory / "stats.sock"))
            # Not parsed: of 100,000 nodes that would be half a gigabyte of dictionaries.
            document = b"".join(iter(lambda: sock.recv(1 << 20), b""))
        return document.count(b'"load":%d,' % self._mark)


def _unread(port: int) -> int:
    """Return the bytes that wait in the UDP socket of this port on 127.0.0.1."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}"):
            return int(fields[4].partition(":")[2], 16)
    raise StartError(f"nobody listens on UDP port {port} any more")
