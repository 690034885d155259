"""The command ``serve`` as a program: its port, rollouts, copies."""

import http.client
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lab import programs
from tests.lab.processes import Process, free_port, run
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.control import Question
from uwsgi_router.subscriptions.client.control import CannotAsk, Control

#: Where the application of tests lies.
ROOT = programs.ROOT
GUNICORN = (sys.executable, "-m", "gunicorn", "--no-control-socket", "-b", "{address}")
UVICORN = (sys.executable, "-m", "uvicorn", "--no-access-log", "--port", "{port}")
WSGI = "tests.peers.served:application"
ASGI = "tests.peers.served:asgi"


class Served(Process):
    """``uwsgi-router serve``, and what one asks of it.

    Args:
        directory: for its log and its sockets.
        arguments: of serve, and behind ``--`` the command.
        env: further variables.
    """

    def __init__(
        self, directory: Path, *arguments: str, env: dict[str, str | None] | None = None,
        cwd: Path | None = None, argv: tuple[str, ...] | None = None, pass_fds: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        self.port = free_port()
        self.control = str(directory / "serve.sock")
        self.broken = directory / "broken"
        own = ("--http", str(self.port), "--control-socket", self.control)
        super().__init__(
            "serve",
            argv or (programs.uwsgi_router(), "serve", *own, *arguments),
            log=directory / "serve.log",
            env={
                "XDG_RUNTIME_DIR": str(directory), "BROKEN_FILE": str(self.broken),
                "NOTIFY_SOCKET": None, "PYTHONPATH": str(ROOT), **(env or {}),
            },
            cwd=cwd or directory,
            pass_fds=pass_fds,
        )  # fmt: skip

    def get(
        self, path: str = "/", host: str = "shop.example", timeout: float = 30
    ) -> tuple[int, str]:
        """Ask, and return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def wait_for_http(self) -> None:
        """Wait until the router accepts; copies may not be healthy yet."""
        self.wait_until_it_accepts(f"127.0.0.1:{self.port}")

    def wait_for_copies(self, count: int, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Wait until so many copies serve, and no other one runs; return them."""

        def there() -> bool:
            assert self.running(), self.output()
            copies = self.copies()
            return len(copies) == count and all(one["state"] == "serving" for one in copies)

        wait_until(there, f"{count} copies serve", seconds)
        return self.copies()

    def copies(self) -> list[dict[str, Any]]:
        """Return the copies, as ``status`` has them; none while it can't be asked."""
        try:
            with Control(self.control) as control:
                return [line["copy"] for line in control.ask(Question("apps")) if "copy" in line]
        except CannotAsk:
            return []

    def rollout(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Roll out, and wait for the end."""
        command = (programs.uwsgi_router(), "rollout", "--control", self.control)
        return run(*command, *options, timeout=55)

    def stop(self, seconds: float = 30.0) -> int:
        """Stop it; return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """End it in order if that goes quickly: its copies are in sessions of their own."""
        if self.running():
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGINT)
            try:
                self._popen.wait(10)
            except subprocess.TimeoutExpired:
                pass
        super().kill()
