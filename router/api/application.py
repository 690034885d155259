"""Applications in Python: copies of a program behind a router, run by a program or a test."""

import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Final, Self

from uwsgi_router.protocol.control import Question
from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.app.process.own_program import own_program
from uwsgi_router.router.config.app import words_of_serve
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.values import Argument
from uwsgi_router.subscriptions.application.place import free_port
from uwsgi_router.subscriptions.client.control import CannotAsk, Control

# Seconds for a rollout, and between two looks at copies that start.
_ROLLOUT: Final = 3600.0
_LOOK: Final = 0.05
_CALL: Final = "Application"


class RolloutFailed(Exception):
    """Error: a new copy did not get healthy; the old ones go on. ``str()`` says why.

    Attributes:
        lines: the last lines of that copy.
    """

    def __init__(self, reason: str, lines: Sequence[str]) -> None:
        super().__init__(reason)
        self.lines = tuple(lines)


@dataclass(frozen=True, slots=True)
class CopyStatus:
    """Status of a copy, as ``uwsgi-router status`` shows it.

    Attributes:
        app: the application's name.
        copy: its own, ``NAME.N``.
        pid: of its process.
        address: where it listens.
        generation: of which rollout it is, 1 before the first one.
        state: starting, announced, serving, draining or stopping.
        age: seconds since its start.
        rss: bytes of memory, shared ones in proportion; 0: not measured yet.
        why: why it is replaced, or does not serve yet; "".
        requests: that it has been sent.
        running: that it has now.
        streams: of these, event streams.
        tunnels: and WebSockets.
    """

    app: str
    copy: str
    pid: int
    address: str
    generation: int
    state: str
    age: float
    rss: int
    why: str
    requests: int = 0
    running: int = 0
    streams: int = 0
    tunnels: int = 0


class Application:
    """Application: ``uwsgi-router serve`` as a child process, and what one asks of it; a context manager.

    Entering it starts it, and waits until all copies serve. Parameters are the options of the command, checked as
    there; None is the command's default. What the copies write goes to our standard output and error.

    Args:
        command: the program and its arguments; one text is split as in a shell.
        http: where HTTP is served; None: at a free port of the loopback.
        env: variables for the copies.
        options: arguments for the router.
        name, replicas, host, proto, health, health_host, health_interval, warm_up, cores, weight, cwd, uid, gid,
            start_timeout, drain, drain_streams, mercy, surge, max_requests, max_rss, max_age, request_timeout,
            stacks_signal, reload, stop_timeout, pidfile: as the options of these names.

    Raises:
        ParameterError: a value is none of its option.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        name: str | None = None,
        replicas: int | None = None,
        http: str | int | Sequence[str] | None = None,
        host: str | Sequence[str] | None = None,
        proto: str | None = None,
        health: str | None = None,
        health_host: str | None = None,
        health_interval: float | None = None,
        warm_up: str | Sequence[str] | None = None,
        cores: int | None = None,
        weight: int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        uid: str | int | None = None,
        gid: str | int | None = None,
        start_timeout: float | None = None,
        drain: float | None = None,
        drain_streams: float | None = None,
        mercy: float | None = None,
        surge: bool | None = None,
        max_requests: int | None = None,
        max_rss: str | int | None = None,
        max_age: float | None = None,
        request_timeout: float | None = None,
        stacks_signal: str | None = None,
        reload: str | Sequence[str] | None = None,
        stop_timeout: float | None = None,
        pidfile: str | None = None,
        options: Sequence[str] = (),
    ) -> None:
        given: dict[str, Any] = dict(locals())
        self._command = shlex.split(command) if isinstance(command, str) else list(command)
        if not self._command:
            raise ParameterError(_CALL, "command", command, "expected a program")
        self._http = f"127.0.0.1:{free_port()}" if http is None else http
        given["http"] = self._http
        given["env"] = [f"{key}={value}" for key, value in (env or {}).items()]
        self._arguments = [*_arguments(given), *options]
        if name is not None:
            self._arguments += ["--name", name]
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        state = "stopped" if self._process is None else f"pid {self._process.pid}"
        return f"<Application {shlex.join(self._command)} {state}>"

    @property
    def url(self) -> str:
        """URL of the first address of HTTP."""
        first = self._http if isinstance(self._http, str | int) else self._http[0]
        host, _, port = str(first).rpartition(":")
        shown = "127.0.0.1" if host in {"", "0.0.0.0", "[::]"} else host
        return f"http://{shown}:{port}"

    # --- its life ---

    def start(self, timeout: float = 60.0) -> None:
        """Start it, and wait until all copies serve.

        Raises:
            StartError: it has ended, or not all serve within ``timeout`` seconds; then it is stopped.
        """
        if self._process is not None:
            raise RuntimeError("the application runs already")
        self._directory = tempfile.TemporaryDirectory(prefix="uwsgi-router-")
        own = ["--control-socket", self._control]
        program = [*own_program(), "serve", *self._arguments, *own]
        self._process = subprocess.Popen([*program, "--", *self._command])  # noqa: S603
        end = time.monotonic() + timeout
        wanted = self._wanted()
        while sum(copy.state == "serving" for copy in self._copies_so_far()) < wanted:
            code = self._process.poll()
            if code is not None or time.monotonic() > end:
                late = f"not all copies serve within {timeout:g} s"
                why = late if code is None else f"it ended with code {code}"
                self.stop()
                raise StartError(f"{shlex.join(self._command)}: {why}; its output says more")
            time.sleep(_LOOK)

    def stop(self) -> int:
        """Stop it: running requests end first; return the exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        code = process.wait()
        if self._directory is not None:
            self._directory.cleanup()
        return code

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # --- what one asks of it ---

    def rollout(self, *, surge: bool | None = None) -> None:
        """Replace all copies; return when the old ones have ended.

        Args:
            surge: start all new copies at once; None: as the application was made.

        Raises:
            RolloutFailed: a new copy did not get healthy.
            RuntimeError: it does not run.
        """
        lines: list[str] = []
        try:
            with Control(self._running(), _ROLLOUT) as control:
                question = Question("rollout", surge=surge)
                # One after the other: a failure comes behind its lines.
                lines.extend(one["line"] for one in control.ask(question) if "line" in one)
        except CannotAsk as exc:
            raise RolloutFailed(str(exc), lines) from None

    def copies(self) -> list[CopyStatus]:
        """Return its copies.

        Raises:
            RuntimeError: it does not run.
        """
        known = {field.name for field in fields(CopyStatus)}
        try:
            with Control(self._running()) as control:
                lines = [line["copy"] for line in control.ask(Question("apps")) if "copy" in line]
        except CannotAsk as exc:
            raise RuntimeError(str(exc)) from None
        return [CopyStatus(**{k: v for k, v in line.items() if k in known}) for line in lines]

    @property
    def _control(self) -> str:
        assert self._directory is not None
        return os.path.join(self._directory.name, "control.sock")

    def _running(self) -> str:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("the application does not run")
        return self._control

    def _copies_so_far(self) -> list[CopyStatus]:
        try:
            return self.copies()
        except RuntimeError:
            return []

    def _wanted(self) -> int:
        given = [
            self._arguments[i + 1] for i, word in enumerate(self._arguments) if word == "--replicas"
        ]
        return int(given[-1]) if given else 2


def _arguments(given: Mapping[str, Any]) -> list[str]:
    """Return the command line of parameters.

    Raises:
        ParameterError: a value is none of its option.
    """
    words: list[str] = []
    for option in words_of_serve():
        value = given.get(option.name.replace("-", "_"))
        if value is None or option.field in {"command", "control_socket"}:
            continue
        if option.kind.argument is Argument.NONE:
            words += [f"--{option.name}"] if value else []
            continue
        several = option.repeatable and not isinstance(value, str | int)
        for one in value if several else [value]:
            try:
                option.kind.parse(str(one))
            except ValueError as error:
                name = option.name.replace("-", "_")
                raise ParameterError(_CALL, name, one, str(error)) from None
            words += [f"--{option.name}", str(one)]
    return words
