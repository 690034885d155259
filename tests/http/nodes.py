"""Recording nodes: they answer by path and keep what they were sent, byte by byte.

Each runs in threads: one that accepts, one for each connection. What they read they read strictly,
without the router's own parsers: anything a router should not have sent is kept as a complaint.
"""

import itertools
import re
import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from tests.http.answers import Answer, Seen, answer_by_path
from tests.http.wire import Cut, Wire, read_chunks, until_end
from uwsgi_router.protocol.uwsgi import PacketError, decode_variables

#: A path that tests ask for besides the vectors' own.
AFTER = "/after-the-vector"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\t\x20-\x7e\x80-\xff]*)")


class Node(ABC):
    """A listener on TCP or a UNIX socket, and the threads behind it. Use it in ``with``.

    Attributes:
        address: ``host:port`` or the path.
        seen: every request, in the order in which they ended.
        complaints: what a router should not have sent.
        connections: accepted so far.
    """

    def __init__(self, path: str | None = None) -> None:
        if path is None:
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.address = "{}:{}".format(*self._listener.getsockname())
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen(128)
            self.address = path
        self.seen: list[Seen] = []
        self.complaints: list[str] = []
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Wakes accept(), which close() does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        with self._lock:
            for sock in self._open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        for thread in self._threads[1:]:
            thread.join()

    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._open)

    @abstractmethod
    def serve(self, wire: Wire, number: int) -> None:
        """Serve one connection to its end."""

    def record(self, seen: Seen) -> None:
        """Keep a request."""
        with self._lock:
            self.seen.append(seen)

    def complain(self, what: str) -> None:
        """Keep what a router should not have sent."""
        with self._lock:
            self.complaints.append(what)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(sock)
                thread = threading.Thread(target=self._run, args=(sock, self.connections))
                self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket, number: int) -> None:
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.serve(Wire(sock), number)
        except Cut:
            pass
        except OSError:
            pass  # The router has closed; the test looks at its other end.
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()


class UwsgiNode(Node):
    """Speaks uwsgi: one packet, its body and the answer on each connection."""

    def serve(self, wire: Wire, number: int) -> None:
        wire.mark()
        try:
            header = wire.exactly(4)
        except Cut:
            return
        block, whole, body = b"", False, b""
        chunked = False
        try:
            block = wire.exactly(int.from_bytes(header[1:3], "little"))
            variables = self._variables(block)
            length = variables.get("CONTENT_LENGTH")
            chunked = variables.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
            if chunked and length:
                self.complain(f"chunked, and CONTENT_LENGTH {length!r}")
            if chunked and not length:
                body = read_chunks(wire, self.complain)
            elif length:
                if not re.fullmatch("[1-9][0-9]*|0", length):
                    self.complain(f"CONTENT_LENGTH {length!r}")
                    raise Cut
                body = wire.exactly(int(length))
            whole = True
        except Cut:
            body = wire.raw[4 + len(block) :]
        if not block:
            return
        fields: dict[str, list[str]] = {}
        for name, value in variables.items():
            if name.startswith("HTTP_"):
                fields[name[5:].lower().replace("_", "-")] = [value]
            elif name == "CONTENT_TYPE":
                fields["content-type"] = [value]
        seen = Seen(
            variables.get("REQUEST_METHOD", ""),
            variables.get("REQUEST_URI", ""),
            variables.get("PATH_INFO", ""),
            fields,
            variables.get("CONTENT_LENGTH"),
            chunked,
            body,
            whole,
            wire.raw,
            number,
            variables=variables,
        )
        self.record(seen)
        if whole:
            answer_by_path(wire, seen, closing=True)
            # A router has nothing more to send; what it sends all the same would be a request.
            if not seen.target.startswith("/ws") and (more := until_end(wire)):
                self.complain(f"{len(more)} bytes after the request: {more[:80]!r}")

    def _variables(self, block: bytes) -> dict[str, str]:
        try:
            pairs = list(decode_variables(block))
        except PacketError as exc:
            self.complain(f"{exc}: {block[:200]!r}")
            raise Cut from None
        variables = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        if len(variables) != len(pairs):
            self.complain(f"a variable twice: {block!r}")
        return variables


class HttpNode(Node):
    """Speaks HTTP/1.1 and keeps its connections, as gunicorn or uvicorn do."""

    def __init__(self, path: str | None = None, *, answer: Answer | None = None) -> None:
        self._answer = answer or answer_by_path
        super().__init__(path)

    def serve(self, wire: Wire, number: int) -> None:
        for count in itertools.count():
            wire.mark()
            try:
                head = wire.until(b"\r\n\r\n")
            except Cut:
                if wire.raw:
                    self.complain(f"it ended inside a head: {wire.raw[:200]!r}")
                return
            seen = self._read(wire, head, number, first=not count)
            self.record(seen)
            if not seen.whole or not self._answer(wire, seen, closing=False):
                return

    def _read(self, wire: Wire, head: bytes, number: int, *, first: bool) -> Seen:
        top, *lines = head.split(b"\r\n")
        line = _REQUEST_LINE.fullmatch(top)
        if line is None:
            self.complain(f"a bad request line: {top[:200]!r}")
            raise Cut
        fields: dict[str, list[str]] = {}
        for text in lines:
            found = _FIELD.fullmatch(text)
            if found is None:
                self.complain(f"a bad field: {text[:200]!r}")
                raise Cut
            name, value = found[1].decode().lower(), found[2].decode("latin-1").strip(" \t")
            if "_" in name:
                self.complain(f"a name with an underscore: {name}")
            fields.setdefault(name, []).append(value)
        lengths, codings = fields.get("content-length", []), fields.get("transfer-encoding", [])
        if len(fields.get("host", [])) != 1 or len(lengths) + len(codings) > 1:
            self.complain(f"Host, Content-Length or Transfer-Encoding: {head!r}")
            raise Cut
        if codings not in ([], ["chunked"]) or not all(
            re.fullmatch("0|[1-9][0-9]*", length) for length in lengths
        ):
            self.complain(f"bad framing: {head!r}")
            raise Cut
        whole, body = True, b""
        try:
            if "expect" in fields and (codings or lengths):
                if fields["expect"] != ["100-continue"]:
                    self.complain(f"Expect: {fields['expect']}")
                wire.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            if codings:
                body = read_chunks(wire, self.complain)
            elif lengths:
                body = wire.exactly(int(lengths[0]))
        except Cut:
            whole, body = False, wire.waiting
        return Seen(
            line[1].decode(),
            line[2].decode("latin-1"),
            None,
            fields,
            lengths[0] if lengths else None,
            bool(codings),
            body,
            whole,
            wire.taken if whole else wire.raw,
            number,
            first,
        )
