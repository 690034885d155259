"""A place for real programs: what a test starts here is gone when it ends."""

import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.lab import proxies
from tests.lab.commands import Command, HttpRouter, OtherRouter, RawRouter, Router
from tests.lab.databases import Postgres, Redis
from tests.lab.empire import Empire
from tests.lab.load import Load
from tests.lab.nginx import Nginx
from tests.lab.nodes import Node
from tests.lab.processes import Process
from tests.lab.proxies import Proxy
from tests.lab.servers import Server, SilentVassal, Vassal
from tests.lab.serving import Served

P = TypeVar("P", bound=Process)


class Place:
    """Starts programs; at the end stops them, last one first, and shows what they printed.

    pytest shows that only for a test that failed.
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack

    def router(self, *options: str, **settings: Any) -> Router:
        """Start the router; see :class:`Router`."""
        return self.started(Router(self.directory, *options, **settings))

    def http_router(self, *options: str, **settings: Any) -> HttpRouter:
        """Start an HTTP router; see :class:`HttpRouter`."""
        return self.started(HttpRouter(self.directory, *options, **settings))

    def http_before(self, node: Node | Server, *options: str, **settings: Any) -> HttpRouter:
        """Start an HTTP router in front of a node that keeps its clients."""
        http = ["--http-backend-http"] if node.proto == "http" else []
        to = f"--http-to={node.address}"
        return self.http_router("--http-keepalive", to, *http, *options, **settings)

    def raw_router(self, *options: str, **settings: Any) -> RawRouter:
        """Start a raw router; see :class:`RawRouter`."""
        return self.started(RawRouter(self.directory, *options, **settings))

    def redis(self, name: str = "redis", *options: str) -> Redis:
        """Start Redis; see :class:`Redis`."""
        return self.started(Redis(self.directory, name, *options))

    def postgres(self, *options: str) -> Postgres:
        """Start PostgreSQL; see :class:`Postgres`."""
        return self.started(Postgres(self.directory, *options))

    def other_router(self, *options: str) -> OtherRouter:
        """Start uWSGI's own fastrouter; see :class:`OtherRouter`."""
        return self.started(OtherRouter(self.directory, *options))

    def server(self, kind: str, **settings: Any) -> Server:
        """Start an application server; see :class:`Server`."""
        return self.started(Server(kind, self.directory, **settings))

    def command(self, *arguments: str, **settings: Any) -> Command:
        """Start our command with any arguments; see :class:`Command`."""
        return self.started(Command(self.directory, *arguments, **settings))

    def served(self, *arguments: str, **settings: Any) -> Served:
        """Start copies of a program behind a router; see :class:`Served`."""
        return self.started(Served(self.directory, *arguments, **settings))

    def empire(self, *options: str) -> Empire:
        """Start an Emperor; see :class:`Empire`."""
        return self.started(Empire(self.directory, *options))

    def program(self, name: str, *argv: str, **settings: Any) -> Process:
        """Start any program; see :class:`Process`."""
        log = self.directory / f"{name}.log"
        return self.started(Process(name, argv, log=log, **settings))

    def vassal(self, name: str, router: Router | None, **settings: Any) -> Vassal:
        """Start a vassal that announces itself to ``router``; see :class:`Vassal`."""
        announce_to = router.announce if router else None
        return self.started(Vassal(name, self.directory, announce_to=announce_to, **settings))

    def nginx(self, router_address: str) -> Nginx:
        """Start nginx in front of that address."""
        return self.started(Nginx(self.directory, router_address))

    def nginx_and_haproxy(self, node: str) -> tuple[Proxy, Proxy]:
        """Start both as proxies in front of the node at this address, which speaks HTTP."""
        return (
            self.started(proxies.nginx(self.directory, node)),
            self.started(proxies.haproxy(self.directory, node)),
        )

    def load(self, nginx: Nginx, path: str = "/", **settings: Any) -> Load:
        """Start sending requests; see :class:`Load`."""
        load = Load(nginx.port, path, **settings)
        self._stack.callback(load.stop)
        load.start()
        return load

    def black_hole(self, router: Router, *, announce_every: float) -> SilentVassal:
        """Make a node that never answers a connect; it announces itself once it is started."""
        hole = SilentVassal(router.announce, announce_every=announce_every)
        self._stack.callback(hole.close)
        return hole

    def end_all(self) -> None:
        """End everything now; the directory goes, too."""
        self._stack.close()

    def closing(self, sock: socket.socket) -> None:
        """Close a socket at the end."""
        self._stack.callback(sock.close)

    def started(self, process: P) -> P:
        """Wait until a program is ready, and end it at the end."""
        self._stack.callback(process.clear_away)
        process.wait_ready()
        return process

    def show_logs(self) -> None:
        """Print the end of every log."""
        for log in sorted(self.directory.glob("*.log")):
            sys.stdout.write(f"---- {log.name}\n{log.read_text('utf-8', 'replace')[-4000:]}\n")


@contextmanager
def temporary() -> Iterator[Place]:
    """Make a place in a directory whose name is short enough for UNIX sockets."""
    directory = Path(tempfile.mkdtemp(prefix="e2e-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        place = Place(directory, stack)
        stack.callback(place.show_logs)
        yield place
