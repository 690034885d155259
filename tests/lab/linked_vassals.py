"""Vassals of an Emperor before a router, as operators have them: links to one file, each with its socket and fifo."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab import programs
from tests.lab.asking import ask
from tests.lab.clients import Client
from tests.lab.commands import Command, Gateway
from tests.lab.messages import HOST
from tests.lab.place import Place
from tests.lab.processes import Process, free_port, run
from tests.lab.servers import APPS
from tests.lab.waiting import wait_until

_APP = """\
import os, sys, time
sys.path.insert(0, {apps!r})
time.sleep(float(os.environ.get("SLOW_START", "0")))
from app import application as answer
def application(environ, start_response):
    if environ["PATH_INFO"] == "/generation":
        start_response("200 OK", [])
        return [{generation!r}.encode()]
    if environ["PATH_INFO"] == "/hold":
        while not os.path.exists({release!r}):
            time.sleep(0.02)
    return answer(environ, start_response)
"""
_BROKEN = "raise RuntimeError('this build is broken')\n"


class EmperorStats:
    """Emperor, as its statistics show it.

    Attributes:
        path: the directory that it watches.
        stats_address: of its statistics.
    """

    path: Path
    stats_address: str

    def vassals(self) -> dict[str, dict[str, Any]]:
        """Return what its statistics say of each vassal; {} while nobody answers."""
        try:
            with Client(self.stats_address) as client:
                document = client.rest()
        except (FileNotFoundError, ConnectionRefusedError):
            return {}
        return {one["id"]: one for one in json.loads(document)["vassals"]} if document else {}


class OwnEmperor(Command, EmperorStats):
    """Our Emperor, as a program of its own.

    Args:
        directory: for its files.
        options: further ones.
    """

    def __init__(self, directory: Path, *options: str) -> None:
        self.path = directory / "vassals"
        self.stats_address = str(directory / "emperor.sock")
        own = directory / "emperor"
        own.mkdir()
        arguments = [f"--emperor={self.path}", f"--emperor-stats={self.stats_address}"]
        arguments += [f"--binary-path={programs.uwsgi()}", *options]
        super().__init__(own, *arguments)


class UwsgiEmperor(Process, EmperorStats):
    """uWSGI's Emperor.

    Args:
        directory: for its files.
        options: further ones.
        pattern: of the names of vassals' files; "": it watches the directory.
    """

    def __init__(self, directory: Path, *options: str, pattern: str = "") -> None:
        self.path = directory / "vassals"
        self.stats_address = str(directory / "emperor.sock")
        argv = [programs.uwsgi(), "--master", "--emperor", str(self.path / pattern)]
        argv += ["--emperor-stats", self.stats_address, *options]
        super().__init__(
            "emperor",
            argv,
            log=directory / "emperor.log",
            cwd=directory,
            env={"NOTIFY_SOCKET": None},
        )


class VassalSite:
    """An Emperor with vassals that announce themselves to a router.

    Args:
        lab: where it all runs.
        router: that they announce themselves to.
        names: of the vassals.
        options: lines of their file.
        links: they are links to one file.
        sockets: address of a vassal; ``%n`` is its name.
        emperor: its options.
        pattern: of uWSGI's Emperor, see there.
        own: it is our Emperor.
    """

    def __init__(
        self,
        lab: Place,
        router: Gateway,
        names: Sequence[str] = ("one", "two", "three", "four"),
        *,
        options: Sequence[str] = ("need-app = true", "unsubscribe-on-graceful-reload = true"),
        links: bool = True,
        sockets: str = "%n.sock",
        emperor: Sequence[str] = ("--emperor-nofollow",),
        pattern: str = "",
        own: bool = False,
    ) -> None:
        self.lab = lab
        self.router = router
        self.names = names
        self.directory = lab.directory
        self.program = self.directory / "site.py"
        self.deploy("1")
        if not sockets.startswith("127."):
            sockets = f"{self.directory}/{sockets}"
        self.template = self.directory / "vassal.conf"
        self.template.write_text(
            "\n".join(
                [
                    "[uwsgi]",
                    "master = true",
                    "processes = 1",
                    "threads = 4",
                    f"socket = {sockets}",
                    f"wsgi-file = {self.program}",
                    f"master-fifo = {self.directory}/%n.fifo",
                    f"logto = {self.directory}/%n.log",
                    f"subscribe2 = server={router.announce},key={HOST}",
                    "env = VASSAL=%n",
                    "disable-logging = true",
                    "no-orphans = true",
                    *options,
                    "",
                ]
            )
        )
        watched = self.directory / "vassals"
        watched.mkdir()
        for name in names:
            file = watched / f"{name}.ini"
            if links:
                file.symlink_to(self.template)
            else:
                file.write_text(self.template.read_text())
        self.emperor: OwnEmperor | UwsgiEmperor
        if own:
            self.emperor = lab.started(OwnEmperor(self.directory, *emperor))
        else:
            self.emperor = lab.started(UwsgiEmperor(self.directory, *emperor, pattern=pattern))
        wait_until(lambda: len(self.serving()) == len(names), "all vassals are announced", 30)
        wait_until(
            lambda: all(one["accepting"] for one in self.emperor.vassals().values()), "they accept"
        )

    def serving(self) -> set[str]:
        """Return the nodes that have no death mark."""
        return {name for name, node in self.router.nodes().items() if not node["death_mark"]}

    def deploy(self, generation: str) -> None:
        """Put a build where vassals load it from; "" is a broken one."""
        text = _BROKEN
        if generation:
            text = _APP.format(
                apps=str(APPS), generation=generation, release=str(self.directory / "release")
            )
        # Python goes by whole seconds and the size.
        new = self.program.with_suffix(".new")
        new.write_text(text)
        os.replace(new, self.program)

    @contextmanager
    def holding(self, port: int, count: int = 1) -> Iterator[list[int]]:
        """Have so many requests at vassals, until the block ends; their statuses are there after it."""
        release = self.directory / "release"
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(ask(port, path="/hold")))
            for _ in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            wait_until(
                lambda: sum(node["ref"] for node in self.router.nodes().values()) >= count,
                "vassals have the requests",
            )
            yield statuses
        finally:
            release.touch()
            for thread in threads:
                thread.join()
            release.unlink()

    def wait_for_next_second(self) -> None:
        """Wait until uWSGI's Emperor can tell a change from the last one."""
        newest = max(one["last_mod"] for one in self.emperor.vassals().values())
        wait_until(lambda: time.time() >= newest + 1, "the next second")

    def arguments(self, *more: str) -> list[str]:
        """Return the arguments that a script and our command have in common."""
        return [
            *("--emperor-path", str(self.emperor.path)),
            *("--emperor-stats-socket", self.emperor.stats_address),
            *("--fastrouter-stats-socket", self.router.stats_address),
            *more,
        ]

    def rollout(self, *more: str) -> "tuple[int, str, str]":
        """Run our command to its end; return exit code, output, errors."""
        argv = (programs.uwsgi_router(), "rollout", *self.arguments(*more))
        # Delays of the Emperor may be part of it.
        done = run(*argv, env=self.environ(), timeout=100)
        return done.returncode, done.stdout, done.stderr

    def rolling(self, *more: str) -> Process:
        """Begin to run our command."""
        argv = (programs.uwsgi_router(), "rollout", *self.arguments(*more))
        return self.lab.program(f"rollout-{free_port()}", *argv, env=self.environ())

    def script(self, *more: str) -> "tuple[int, str, str]":
        """Run a reload script as operators have it; return the same."""
        script = str(APPS / "reload_vassals.py")
        done = run(sys.executable, script, "--uwsgi", programs.uwsgi(), *self.arguments(*more))
        return done.returncode, done.stdout, done.stderr

    def environ(self) -> dict[str, str]:
        """Return the environment of our command: notes go to the place of the test."""
        return {**os.environ, "XDG_RUNTIME_DIR": str(self.directory)}
