"""What a worker and the keeper get of a configuration, and which limits can't be shared out."""

from dataclasses import replace

from uwsgi_router.router.app.feeding.roles import (
    keeper_configuration,
    too_few,
    worker_configuration,
)
from uwsgi_router.router.config.model import (
    CacheConfig,
    Configuration,
    HttpRouterConfig,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
)

FAST = RouterConfig(
    "fastrouter",
    processes=2,
    listen=("127.0.0.1:1",),
    stats=("127.0.0.1:2",),
    subscription_servers=("127.0.0.1:3",),
    max_connections=10,
    backend_connections=5,
    hold_max=7,
    hold_max_bytes=101,
)
HTTP = HttpRouterConfig(
    "http", processes=4, listen=("127.0.0.1:4",), access_log="/var/log/access", max_connections=0
)
WHOLE = Configuration(
    ProcessConfig(
        control_socket="/run/control",
        cache_sockets=("/run/cache",),
        named_caches=(CacheConfig("nodes", 10),),
    ),
    SubscriptionConfig(state="/var/lib/state", tee=("127.0.0.1:9",), tolerance=5.0),
    (FAST, HTTP),
)


def test_a_worker_serves_requests_and_nothing_else() -> None:
    mine = worker_configuration(WHOLE, 0)
    assert (mine.process.control_socket, mine.process.cache_sockets) == (None, ())
    assert mine.process.caches == WHOLE.process.caches
    assert mine.subscription == replace(WHOLE.subscription, state=None, tee=())
    assert [router.listen for router in mine.routers] == [FAST.listen, HTTP.listen]
    assert [router.stats for router in mine.routers] == [(), ()]
    assert mine.routers[0].subscription_servers == FAST.subscription_servers


def test_limits_for_all_workers_are_shared_out() -> None:
    parts = [worker_configuration(WHOLE, number).routers[0] for number in (0, 1)]
    assert [part.max_connections for part in parts] == [5, 5]
    assert [part.backend_connections for part in parts] == [3, 2]
    assert [part.hold_max for part in parts] == [4, 3]
    assert [part.hold_max_bytes for part in parts] == [51, 50]
    assert [worker_configuration(WHOLE, 0).routers[1].max_connections] == [0]


def test_a_router_runs_in_as_many_workers_as_it_says() -> None:
    kinds = [[one.kind for one in worker_configuration(WHOLE, n).routers] for n in range(4)]
    assert kinds == [["fastrouter", "http"], ["fastrouter", "http"], ["http"], ["http"]]


def test_the_keeper_writes_no_access_log() -> None:
    keeper = keeper_configuration(WHOLE)
    assert keeper.routers == (FAST, replace(HTTP, access_log=None))
    assert (keeper.process, keeper.subscription) == (WHOLE.process, WHOLE.subscription)


def test_a_limit_below_the_number_of_workers_is_told() -> None:
    assert list(too_few(WHOLE.routers)) == []
    few = replace(FAST, processes=6, max_connections=6)
    (line,) = too_few([few])
    assert line.startswith("fastrouter-backend-connections = 5: 6 workers share it")
