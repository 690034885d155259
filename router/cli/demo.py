"""Command ``demo``: an HTTP router, a fastrouter and two vassals on free ports.

Everything is real: the vassals are processes of their own that announce themselves over UDP, and
the routers run as they would from an ini file. Nothing is left behind.
"""

import argparse
import asyncio
import os
import select
import shlex
import shutil
import signal
import socket
import sys
from typing import Final

from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.app.process.early_stop import TidiedUp
from uwsgi_router.router.app.process.event_loops import loop_factory
from uwsgi_router.router.app.process.signals import Signals
from uwsgi_router.router.app.process.title import set_title
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.vassal import DemoVassal
from uwsgi_router.router.config.model import (
    Configuration,
    HttpRouterConfig,
    ProcessConfig,
    RouterConfig,
)
from uwsgi_router.router.core.log import setup
from uwsgi_router.router.net.activation import Inherited

KEY: Final = "demo.example"
NAMES: Final = ("blue", "green")

# How long requests and vassals have to finish.
_MERCY: Final = 2.0


def main(args: list[str]) -> int:
    """Run the demo until a signal ends it; return the exit status."""
    arguments().parse_args(args)
    setup(ProcessConfig())
    with TidiedUp():
        _run()
    return 0


def _run() -> None:
    # Bound here, so that the ports are known and ours before anybody is told of them.
    http, listener, stats = (socket.create_server(("127.0.0.1", 0)) for _ in range(3))
    table = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    table.bind(("127.0.0.1", 0))
    sockets = [http, listener, stats, table]
    vassals: list[Child] = []
    try:
        for name in NAMES:
            vassals.append(Child(name, table.getsockname(), sockets, vassals))
        for sock in sockets:
            sock.setblocking(False)
        router = RouterConfig(
            listen=(_text(listener),), subscription_servers=(_text(table),), stats=(_text(stats),)
        )
        # A browser asks for the address that it was given: every host is the demo's.
        web = HttpRouterConfig(
            listen=(_text(http),),
            subscription_servers=(_text(table),),
            subscription_fallback_key=KEY,
            keepalive=0.0,
        )
        instance = Instance(Configuration(routers=(router, web)), Inherited(sockets))
        instance.bind()
        with asyncio.Runner(loop_factory=loop_factory("auto")) as runner:
            runner.run(_serve(instance, vassals, explain(router, web, vassals)))
    finally:
        for vassal in vassals:
            vassal.end()
        for sock in sockets:
            sock.close()


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    return commands.parser(
        "demo",
        "Run an HTTP router, a fastrouter and two applications that announce themselves, on free ports.",
    )


class Child:
    """Child process of a vassal.

    Attributes:
        name: what its answers say.
        pid: its process id.
        lifeline: breaks when it ends; its other end breaks when we do.
    """

    def __init__(
        self,
        name: str,
        table: tuple[str, int],
        sockets: list[socket.socket],
        siblings: "list[Child]",
    ) -> None:
        """Start it.

        A fork, because a program started anew would have to find our packages again, whose names
        are common. No loop and no thread exists yet.
        """
        self.name = name
        self.lifeline, other_end = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            # What the child kept open would live on when we are gone.
            for sock in (*sockets, self.lifeline, *(sibling.lifeline for sibling in siblings)):
                sock.close()
            _become_vassal(name, table, other_end)
        other_end.close()

    def end(self) -> None:
        """Ask it to finish, insist after a while, and wait for it."""
        if not self._is_over(0):
            os.kill(self.pid, signal.SIGTERM)
            if not self._is_over(_MERCY):
                os.kill(self.pid, signal.SIGKILL)
        self.reap()

    def reap(self) -> None:
        """Collect what is left of it once it is over."""
        if self.lifeline.fileno() >= 0:
            self.lifeline.close()
            os.waitpid(self.pid, 0)

    def _is_over(self, seconds: float) -> bool:
        if self.lifeline.fileno() < 0:
            return True
        return bool(select.select([self.lifeline], [], [], seconds)[0])


def _become_vassal(name: str, table: tuple[str, int], lifeline: socket.socket) -> None:
    status = 1
    try:
        set_title(f"vassal-{name}", None)
        DemoVassal(name, KEY, table, lifeline).run()
        status = 0
    finally:
        # Without the exit handlers, which are the parent's.
        os._exit(status)


async def _serve(instance: Instance, vassals: list[Child], text: str) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    signals = Signals(loop, graceful=stop.set, immediate=stop.set)
    signals.install()
    await instance.start()

    def is_over(vassal: Child) -> None:
        loop.remove_reader(vassal.lifeline)
        vassal.reap()
        print(f"The node {vassal.name} (pid {vassal.pid}) is gone.", flush=True)

    for vassal in vassals:
        loop.add_reader(vassal.lifeline, is_over, vassal)
    print(text, flush=True)
    await stop.wait()
    for vassal in vassals:
        if vassal.lifeline.fileno() >= 0:
            loop.remove_reader(vassal.lifeline)
    await instance.stop(_MERCY)
    signals.remove()


def explain(router: RouterConfig, web: HttpRouterConfig, vassals: list[Child]) -> str:
    """Say what is there and what to try."""
    program = _program()
    who = " and ".join(f"{vassal.name} (pid {vassal.pid})" for vassal in vassals)
    url = f"http://{router.stats[0]}/"
    return f"""
An HTTP router on {web.listen[0]}, a fastrouter on {router.listen[0]}, a subscription server for both
on UDP {router.subscription_servers[0]}, and two nodes,
small applications that announce themselves to it: {who}.

Open this in a browser, or type it twice; one node answers, then the other:
    curl http://{web.listen[0]}/
Ask the fastrouter, as nginx does, in the uwsgi protocol:
    {program} get {router.listen[0]} / -H {KEY}
End one, whichever way, and send more; none is lost:
    kill -9 {vassals[0].pid}
Look at the stats:
    curl {url}
    python3 -c 'import urllib.request as r; print(r.urlopen("{url}").read().decode())'
Ctrl-C ends it all.
"""


def _program() -> str:
    """Return how our user can call this program from another terminal, in this directory."""
    called = sys.argv[0]
    found = shutil.which("uwsgi-router")
    if found is not None and os.path.exists(called) and os.path.samefile(found, called):
        return "uwsgi-router"
    return shlex.quote(called)


def _text(sock: socket.socket) -> str:
    host, port = sock.getsockname()
    return f"{host}:{port}"
