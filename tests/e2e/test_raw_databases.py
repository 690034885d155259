"""Redis and PostgreSQL behind a raw router: their own benchmarks, large values, nodes that die."""

import os
import re
import signal

import pytest

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.databases import Postgres, Redis, command
from tests.lab.place import Place
from tests.lab.processes import run
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.peers


def benchmark(address: str, *options: str) -> str:
    host, port = address.rsplit(":", 1)
    ended = run(programs.debian("redis-benchmark"), "-h", host, "-p", port, "-q", *options)
    assert ended.returncode == 0, ended.stderr
    assert "rror" not in ended.stdout + ended.stderr
    return ended.stdout


def test_redis_answers_forty_thousand_requests(lab: Place) -> None:
    redis = lab.redis()
    router = lab.raw_router(f"--rawrouter-to={redis.address}", "--rawrouter-timeout=0")
    output = benchmark(router.address, "-n", "20000", "-t", "set,get", "-c", "50")
    assert len(re.findall("requests per second", output)) == 2
    wait_until(lambda: router.stats()["active_sessions"] == 0, "all clients have left")
    (node,) = router.stats()["static_nodes"]
    assert node["hits"] >= 100
    assert "failed" not in router.output()


def test_redis_keeps_values_of_three_megabytes(lab: Place) -> None:
    redis = lab.redis()
    router = lab.raw_router(f"--rawrouter-to={redis.address}")
    values = [os.urandom(3_000_000) for _ in range(3)]
    with router.client() as client:
        for number, value in enumerate(values):
            assert command(client, b"SET", b"%d" % number, value) == b"+OK\r\n"
        for number, value in enumerate(values):
            assert command(client, b"GET", b"%d" % number) == value
    benchmark(router.address, "-n", "60", "-t", "set,get", "-c", "4", "-d", "3000000")
    assert "failed" not in router.output()


def answers(redis: Redis) -> bool:
    with Client(redis.address) as client:
        return command(client, b"PING") == b"+PONG\r\n"


def test_a_dead_redis_costs_nobody_a_new_connection(lab: Place) -> None:
    first, second = lab.redis("first"), lab.redis("second")
    router = lab.raw_router(f"--rawrouter-to={first.address}", f"--rawrouter-to={second.address}")
    clients = [router.client() for _ in range(4)]
    for client in clients:
        assert command(client, b"PING") == b"+PONG\r\n"
    first.signal(signal.SIGKILL)
    first.wait()
    ended = [client for client in clients if not alive(client)]
    assert len(ended) == 2
    for _ in range(20):
        with router.client() as client:
            assert command(client, b"PING") == b"+PONG\r\n"
    for client in clients:
        client.close()


def alive(client: Client) -> bool:
    """Whether its Redis answers; else the connection has ended."""
    try:
        return command(client, b"PING") == b"+PONG\r\n"
    except (ConnectionError, AssertionError):
        return False


def test_redis_says_goodbye(lab: Place) -> None:
    redis = lab.redis()
    router = lab.raw_router(f"--rawrouter-to={redis.address}")
    with router.client() as client:
        assert command(client, b"QUIT") == b"+OK\r\n"
        assert client.rest() == b""
    wait_until(lambda: router.stats()["active_sessions"] == 0, "the connection has ended")
    assert "failed" not in router.output()


def pgbench(address: str, *options: str) -> str:
    host, port = address.rsplit(":", 1)
    login = ("-h", host, "-p", port, "-U", "postgres")
    ended = run(programs.debian("pgbench"), *login, *options, "postgres")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_postgres_runs_its_benchmark(lab: Place) -> None:
    postgres: Postgres = lab.postgres()
    router = lab.raw_router(f"--rawrouter-to={postgres.address}", "--rawrouter-timeout=0")
    pgbench(router.address, "-i", "-q")
    kept = pgbench(router.address, "-c", "4", "-t", "250", "-n")
    assert "number of transactions actually processed: 1000/1000" in kept
    each = pgbench(router.address, "-c", "4", "-t", "50", "-n", "-C", "-S")
    assert "number of transactions actually processed: 200/200" in each
    wait_until(lambda: router.stats()["active_sessions"] == 0, "all clients have left")
    (node,) = router.stats()["static_nodes"]
    assert node["hits"] >= 200
    assert "failed" not in router.output()


def test_redis_is_announced_for_a_listener(lab: Place) -> None:
    """``uwsgi-router subscribe`` does it, with the listener's address as the key."""
    redis = lab.redis()
    router = lab.raw_router(subscriptions=True)
    subscribe = lab.program(
        "subscribe",
        *(programs.uwsgi_router(), "subscribe", "--server", router.announce),
        *("--key", router.address, "--address", redis.address, "--proto", "raw"),
        *("--", "sleep", "60"),
    )
    subscribe.wait_for_output("announcing")

    def known() -> bool:
        with router.client() as client:
            return alive(client)

    wait_until(known, "the router knows the node")
