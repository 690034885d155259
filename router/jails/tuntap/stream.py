"""Stream of frames over one socket: packets out in batches, with a bounded queue; packets in, as they come."""

import socket
from typing import Final

from uwsgi_router.protocol.tuntap import MAX_FRAME, FrameReader, frame_header

#: Bytes that wait for a socket at most; the packets behind them are dropped.
QUEUE: Final = 512 * 1024

# Of the smallest packets it holds two thousand, which take some milliseconds.
_CHUNK: Final = 64 * 1024
# Pieces of one sendmsg; the kernel takes 1024.
_PIECES: Final = 1000
_HEADERS: Final = [frame_header(size) for size in range(MAX_FRAME + 1)]


class FrameStream:
    """Frames of one connection.

    Attributes:
        sock: non-blocking.
        reader: of what comes in.
        rx: bytes that came, headers included.
        tx: bytes that went.
        packets_in: packets that came.
        packets_out: packets that were queued.
        dropped: packets for which the queue was full.
        queued: bytes that wait.
        more: bytes came when it was read last, so that more may be there.
    """

    def __init__(self, sock: socket.SocketType, queue: int = QUEUE) -> None:
        self.sock = sock
        # As much again, if the system allows that: fewer turns of the loop for the same packets.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, queue)
        self.reader = FrameReader()
        self._most = queue
        self._pieces: list[bytes] = []
        self.rx = 0
        self.tx = 0
        self.packets_in = 0
        self.packets_out = 0
        self.dropped = 0
        self.queued = 0
        self.more = False

    def receive(self) -> list[bytes] | None:
        """Return the packets that are there; None at the end of the stream.

        Raises:
            FrameError: what comes is no frames.
            OSError: the connection is broken.
        """
        self.more = False
        try:
            data = self.sock.recv(_CHUNK)
        except BlockingIOError:
            return []
        if not data:
            return None
        self.more = True
        self.rx += len(data)
        packets = self.reader.feed(data)
        self.packets_in += len(packets)
        return packets

    def put(self, packet: bytes) -> None:
        """Queue a packet, or drop it if it does not fit."""
        size = len(packet)
        if size > MAX_FRAME or self.queued + size > self._most:
            self.dropped += 1
            return
        self.queued += size + 4
        self.packets_out += 1
        self._pieces.append(_HEADERS[size])
        self._pieces.append(packet)

    def flush(self) -> bool:
        """Send what is queued; return True if all has gone.

        Raises:
            OSError: the connection is broken.
        """
        pieces = self._pieces
        while pieces:
            batch = pieces if len(pieces) <= _PIECES else pieces[:_PIECES]
            try:
                sent = self.sock.sendmsg(batch)
            except BlockingIOError:
                return False
            self.tx += sent
            self.queued -= sent
            if self.queued == 0:
                pieces.clear()
                return True
            done = 0
            while sent >= len(pieces[done]):
                sent -= len(pieces[done])
                done += 1
            if sent:
                pieces[done] = pieces[done][sent:]
            del pieces[:done]
        return True
