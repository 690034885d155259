"""Values of an application: its command, how many copies of it run, and within which times."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from uwsgi_router.protocol.subscription import Proto

#: Copies that an application may have.
MAX_REPLICAS: Final = 1000


@dataclass(frozen=True, slots=True)
class CopyPolicy:
    """Policy of copies: their number, and their times in seconds.

    Attributes:
        replicas: copies that serve.
        surge: a rollout starts all new copies at once, and not one by one.
        start_timeout: for a copy to get healthy and warm.
        drain: for requests that run in a copy that leaves.
        drain_streams: for its event streams and WebSockets.
        mercy: between TERM and KILL.
        check_first: before the first health check of a copy; each further pause is half as long again.
        check_most: the longest pause until a copy is healthy.
        check_every: between two health checks of a copy that serves; 0: none.
        check_fails: so many failures in a row make a copy that serves be replaced.
        max_requests: a copy that has had so many is replaced; 0: never.
        max_rss: a copy that uses so many bytes of memory is replaced; 0: never.
        max_age: a copy that is so old is replaced; 0: never.
        jitter: the three limits are up to this share higher, each copy's by another amount.
        attempts: starts that may fail before the first copy has served, then the application ends; 0: any number.
        restart: a copy that ends is replaced; False: its end is the application's.
    """

    replicas: int = 2
    surge: bool = False
    start_timeout: float = 60.0
    drain: float = 10.0
    drain_streams: float = 10.0
    mercy: float = 10.0
    check_first: float = 0.05
    check_most: float = 1.0
    check_every: float = 10.0
    check_fails: int = 3
    max_requests: int = 0
    max_rss: int = 0
    max_age: float = 0.0
    jitter: float = 0.2
    attempts: int = 0
    restart: bool = True


@dataclass(frozen=True, slots=True)
class AppPlan:
    """Plan of an application.

    Attributes:
        name: for logs and its copies' names, ``NAME.N``.
        command: the program and its arguments, with ``{address}``, ``{host}``, ``{port}`` or ``{socket}``.
        keys: what it serves: hosts, or whatever the router's requests have as their key.
        policy: see :class:`CopyPolicy`.
        proto: what it speaks.
        health: the path that is asked with GET, below 400 is well; None: a connection is enough.
        health_host: the Host of that.
        warm_up: paths that each new copy is asked for, once, before it gets requests.
        cores: requests that a copy works on at once; 0: that is not told.
        weight: its share of the requests.
        env: variables added to the environment.
        cwd: working directory, looked up anew at each start; None: ours.
        user: that copies run as; None: ours.
        group: likewise; None: the user's, or ours.
        stuck_after: seconds after which a copy whose requests all wait so long for an answer is replaced; 0: never.
        stacks: signal that makes the program write its stacks; 0: it knows none.
    """

    name: str
    command: tuple[str, ...]
    keys: tuple[str, ...]
    policy: CopyPolicy = field(default_factory=CopyPolicy)
    proto: Proto = "http"
    health: str | None = None
    health_host: str = "localhost"
    warm_up: tuple[str, ...] = ()
    cores: int = 0
    weight: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: str | None = None
    group: str | None = None
    stuck_after: float = 0.0
    stacks: int = 0
