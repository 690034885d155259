"""Configuration of applications: the words of ``[app NAME]`` sections and of ``uwsgi-router serve``, declared once."""

from dataclasses import dataclass
from typing import Final, Literal

from uwsgi_router.router.config import app_values as kinds
from uwsgi_router.router.config import values
from uwsgi_router.router.config.option import Option, Provenance, Scope, option, options_of, switch
from uwsgi_router.router.config.values import integer

APPLICATIONS: Final = "applications"
_OURS: Final = Provenance.OURS


@dataclass(frozen=True, slots=True)
class AppConfig:
    """One application: ``name`` is the section's."""

    name: str = "app"
    command: tuple[str, ...] = option(
        "command",
        kinds.COMMAND,
        "Program and arguments; {address} (127.0.0.1:PORT), {port} or {socket} stand for where a copy listens.",
        default=(),
        origin=_OURS,
    )
    replicas: int = option(
        "replicas", integer("N", 1, 1000), "Copies that run.", default=2, origin=_OURS
    )
    hosts: tuple[str, ...] = option(
        "host",
        values.KEY,
        "Host that it serves, or key; not given: all that no other application has.",
        default=(),
        repeatable=True,
        origin=_OURS,
    )
    proto: Literal["http", "uwsgi"] = option(
        "proto", values.choice("http", "uwsgi"), "What it speaks.", default="http", origin=_OURS
    )
    health: str | None = option(
        "health",
        kinds.PATH,
        "Healthy is a copy that answers GET of this path below 400; not given: one that answers at all.",
        default=None,
        origin=_OURS,
    )
    health_host: str | None = option(
        "health-host",
        values.TEXT,
        "Host of that question.",
        default=None,
        origin=_OURS,
        shown="the first host, else localhost",
    )
    health_interval: float = option(
        "health-interval",
        kinds.TIME,
        "Ask copies that serve so often; three failures in a row, and one is replaced.",
        default=10.0,
        origin=_OURS,
        zero="never",
    )
    warm_up: tuple[str, ...] = option(
        "warm-up",
        kinds.PATH,
        "Ask each new copy for this path, too, before it gets requests.",
        default=(),
        repeatable=True,
        origin=_OURS,
    )
    cores: int | None = option(
        "cores",
        kinds.CORES,
        "Requests that a copy works on at once; auto: as the arguments of gunicorn, uvicorn or granian say.",
        default=None,
        origin=_OURS,
        shown="auto",
    )
    weight: int = option(
        "weight",
        integer("N", 1, 1_000_000),
        "Share of requests of a copy.",
        default=1,
        origin=_OURS,
    )
    env: tuple[tuple[str, str], ...] = option(
        "env", kinds.VARIABLE, "Environment variable.", default=(), repeatable=True, origin=_OURS
    )
    cwd: str | None = option(
        "cwd",
        values.DIRECTORY,
        "Working directory, looked up anew for each copy; it may be a symbolic link to a release.",
        default=None,
        also=("chdir",),
        origin=_OURS,
    )
    uid: str | None = option(
        "uid", values.USER, "Run copies as this user, with his groups.", default=None, origin=_OURS
    )
    gid: str | None = option(
        "gid", values.GROUP, "Run copies as this group.", default=None, origin=_OURS
    )
    start_timeout: float = option(
        "start-timeout",
        kinds.TIME,
        "A copy has so long to get healthy and warm.",
        default=60.0,
        origin=_OURS,
    )
    drain: float = option(
        "drain",
        kinds.TIME,
        "Requests of a copy that leaves have so long to end.",
        default=10.0,
        origin=_OURS,
    )
    drain_streams: float = option(
        "drain-streams",
        kinds.TIME,
        "Event streams and WebSockets have so long; then these get 1012, and those end behind an event.",
        default=10.0,
        origin=_OURS,
    )
    mercy: float = option(
        "mercy",
        kinds.TIME,
        "A copy has so long between TERM and KILL.",
        default=10.0,
        origin=_OURS,
    )
    surge: bool = switch(
        "surge", "A rollout starts all new copies at once, instead of one by one.", origin=_OURS
    )
    max_requests: int = option(
        "max-requests",
        integer("N", 0, 1_000_000_000),
        "Replace a copy that has had so many requests, or up to a fifth more.",
        default=0,
        origin=_OURS,
        zero="never",
    )
    max_rss: int = option(
        "max-rss",
        kinds.MEMORY,
        "Replace a copy that uses so much memory, or up to a fifth more; without a unit MiB.",
        default=0,
        origin=_OURS,
        zero="never",
    )
    max_age: float = option(
        "max-age",
        kinds.TIME,
        "Replace a copy that has served so long, or up to a fifth more.",
        default=0.0,
        origin=_OURS,
        zero="never",
    )
    request_timeout: float = option(
        "request-timeout",
        kinds.TIME,
        "Replace a copy in which every request has waited so long for its answer to begin.",
        default=0.0,
        origin=_OURS,
        zero="never",
    )
    stacks_signal: int = option(
        "stacks-signal",
        kinds.SIGNAL,
        "Signal at which its processes write their stacks, asked for by request-timeout.",
        default=0,
        origin=_OURS,
        shown="FPE for Python's faulthandler, when the copy is stopped",
        needs=("request_timeout",),
    )
    reload: tuple[str, ...] = option(
        "reload",
        values.FILE,
        "For development: a rollout whenever a file below this directory changes (needs the package watchfiles).",
        default=(),
        repeatable=True,
        origin=_OURS,
    )


@dataclass(frozen=True, slots=True)
class ServeConfig(AppConfig):
    """Application of the command ``serve``, and the router before it."""

    http: tuple[str, ...] = option(
        "http",
        kinds.HTTP,
        "Serve HTTP here: 8080 is 127.0.0.1:8080, :8080 is every interface.",
        default=("127.0.0.1:8080",),
        repeatable=True,
        origin=_OURS,
    )
    stop_timeout: float = option(
        "stop-timeout",
        kinds.TIME,
        "Stop within so long; docker gives 10 s (docker run --stop-timeout 30), kubernetes 30"
        " (terminationGracePeriodSeconds).",
        default=25.0,
        origin=_OURS,
    )
    control_socket: str | None = option(
        "control-socket",
        values.SOCKET_PATH,
        "Answer status, rollout and drain here.",
        default=None,
        origin=_OURS,
        shown="serve-PID.sock where these commands look",
    )
    pidfile: str | None = option(
        "pidfile", values.FILE, "Write the number of the process here.", default=None, origin=_OURS
    )


def words() -> list[Option]:
    """Return the options of ``[app NAME]`` sections."""
    return options_of(AppConfig, "app", APPLICATIONS, Scope.SITE)


def words_of_serve() -> list[Option]:
    """Return the options of the command ``serve``."""
    return options_of(ServeConfig, "serve", APPLICATIONS, Scope.SITE)
