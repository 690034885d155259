"""``subscribe`` announces for as long as its block lasts, in plain programs and in event loops."""

import asyncio
import logging
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import uwsgi_router.subscriptions
from tests.lab.waiting import wait_until
from tests.subscriptions.client.conftest import Hearing
from uwsgi_router.subscriptions import SubscribeError, Subscriber, subscribe

ADDRESS = "127.0.0.1:8000"


def node(hearing: Hearing, **more: object) -> Subscriber:
    settings: dict[str, object] = {"key": "a", "address": ADDRESS, "interval": 0.05}
    return subscribe(hearing.address, **{**settings, "drain_delay": 0, **more})  # type: ignore[arg-type]


def test_a_plain_block(hearing: Hearing) -> None:
    with node(hearing) as subscriber:
        assert [hearing.next().command for _ in range(3)] == ["subscribe"] * 3
        assert repr(subscriber) == "<Subscriber a => 127.0.0.1:8000 announcing>"
    said = hearing.said()
    assert said[-1] == ("unsubscribe", "a", ADDRESS)
    assert [command for command, *_ in said].count("unsubscribe") == 1


async def test_a_block_in_an_event_loop(hearing: Hearing) -> None:
    hearing.sock.setblocking(False)
    loop = asyncio.get_running_loop()
    async with node(hearing):
        for _ in range(3):
            await loop.sock_recv(hearing.sock, 5000)
    said = hearing.said()
    assert said[-1] == ("unsubscribe", "a", ADDRESS)
    assert [command for command, *_ in said].count("unsubscribe") == 1


def test_leaving_waits_for_requests_under_way(hearing: Hearing) -> None:
    with node(hearing, drain_delay=0.3):
        began = time.monotonic()
    assert time.monotonic() - began >= 0.3


def test_an_exception_is_not_held_up(hearing: Hearing) -> None:
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), node(hearing, drain_delay=30):
        raise ZeroDivisionError
    assert time.monotonic() - began < 10
    assert hearing.said()[-1][0] == "unsubscribe"


async def test_a_cancelled_block_withdraws_at_once(hearing: Hearing) -> None:
    async def cancelled() -> None:
        async with asyncio.timeout(None) as limit, node(hearing, drain_delay=30):
            limit.reschedule(asyncio.get_running_loop().time())
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await cancelled()
    assert hearing.said()[-1][0] == "unsubscribe"


def test_it_can_be_entered_again(hearing: Hearing) -> None:
    subscriber = node(hearing)
    for _ in range(2):
        with subscriber, pytest.raises(RuntimeError):
            subscriber.__enter__()
    assert [command for command, *_ in hearing.said()] == ["subscribe", "unsubscribe"] * 2


def test_answers_of_a_local_router_are_logged(
    hearing: Hearing, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with node(hearing), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as router:
        notify = hearing.next().notify
        assert notify is not None
        router.sendto(b"[subscription refused] a => b: no", notify)
        wait_until(lambda: "refused by the router: a => b: no" in caplog.messages, "it is logged")
    assert not Path(notify.decode()).exists()


def test_mistakes_are_told_when_it_is_made() -> None:
    with pytest.raises(SubscribeError, match="no port"):
        subscribe("router.internal", key="a", address=ADDRESS)
    with pytest.raises(SubscribeError, match="interval 0"):
        subscribe("127.0.0.1:3032", key="a", address=ADDRESS, interval=0)
    with pytest.raises(SubscribeError, match="drain_delay -1"):
        subscribe("127.0.0.1:3032", key="a", address=ADDRESS, drain_delay=-1)


async def test_mistakes_that_only_the_network_tells_are_told_on_entering() -> None:
    wrong = subscribe("192.0.2.1:3032", key="a", address=ADDRESS)
    with pytest.raises(SubscribeError, match="another machine"):
        wrong.__enter__()
    with pytest.raises(SubscribeError, match="another machine"):
        await wrong.__aenter__()


def test_importing_subscriptions_stays_cheap() -> None:
    code = (
        "import sys; from uwsgi_router import subscriptions\n"
        "assert 'asyncio' not in sys.modules and 'uwsgi_router.subscriptions.client' not in sys.modules\n"
        "subscriptions.subscribe\n"
        "assert 'uwsgi_router.subscriptions.registry' not in sys.modules and 'cryptography' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_what_the_package_does_not_have() -> None:
    with pytest.raises(AttributeError, match="no attribute 'announce'"):
        uwsgi_router.subscriptions.announce  # noqa: B018
