"""Memory of a table beside its nodes, in another process: used signatures, rates, keys and suspects that have left."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.messages import KEY
from tests.lab.waiting import until
from tests.router.table.feed.shared import NODE, Copy, Keeper, Member
from tests.subscriptions.signing import NOW, ec_key, publish, signed
from uwsgi_router.protocol.subscription import decode
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.sender import Sender
from uwsgi_router.subscriptions.signature import SignCheck

SENDER = Sender("10.0.0.1", "10.0.0.1")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    publish(tmp_path, ec_key())
    return {"sign_check": SignCheck("SHA256", str(tmp_path)), "sign_tolerance": 600.0}


def admit(member: Member, datagram: bytes, wall: float = NOW) -> None:
    member.table.gate.admit(decode(datagram), SENDER, wall)


async def recovered(closing: Callable[..., None], copy: Copy, **options: Any) -> Keeper:
    fresh = Keeper(**options)
    closing(fresh)
    fresh.owner.expect()
    ours, theirs = socket.socketpair()
    fresh.owner.attach(theirs, copy.worker)
    copy.feed.attach(ours)
    assert await fresh.owner.recover()
    return fresh


async def test_no_signature_works_again_after_the_keeper_has_died(
    closing: Callable[..., None], options: dict[str, Any]
) -> None:
    keeper = Keeper(**options)
    before, after = signed(ec_key(), NOW), signed(ec_key(), NOW + 5)
    admit(keeper, before)
    copy = await Copy(**options).join(keeper)
    closing(keeper, copy)
    admit(keeper, after)
    used = copy.table.used_times
    assert used is not None
    ours = keeper.table.used_times
    assert ours is not None
    await until(lambda: list(used.items()) == list(ours.items()))
    keeper.close()
    fresh = await recovered(closing, copy, **options)
    for datagram in (before, after):
        with pytest.raises(Refused, match="was used before"):
            admit(fresh, datagram)
    admit(fresh, signed(ec_key(), NOW + 6))


async def test_times_that_the_clock_forgave_are_forgiven_everywhere(
    closing: Callable[..., None], options: dict[str, Any]
) -> None:
    keeper = Keeper(**options)
    copy = await Copy(**options).join(keeper)
    closing(keeper, copy)
    admit(keeper, signed(ec_key(), NOW + 200), NOW + 200)
    used, ours = copy.table.used_times, keeper.table.used_times
    assert used is not None
    assert ours is not None
    await until(lambda: list(used.items()) == list(ours.items()))
    ours.clock_went_back(NOW)
    keeper.part._clock_went_back(NOW)
    await until(lambda: list(used.items()) == list(ours.items()))


async def test_a_suspect_stays_one_and_a_key_that_lost_its_nodes_is_known(
    closing: Callable[..., None],
) -> None:
    keeper = Keeper()
    keeper.announce()
    copy = await Copy().join(keeper)
    closing(keeper, copy)
    node = copy.node()
    node.connect_started()
    copy.registry.connect_failed(node, copy.loop.time(), timed_out=True)
    await until(lambda: not keeper.names() and not copy.names())
    keeper.close()
    fresh = await recovered(closing, copy)
    assert fresh.registry.was_announced(KEY, fresh.loop.time())
    fresh.announce()
    assert fresh.node(NODE).suspect
    await until(lambda: copy.find() is not None)
    assert copy.node().suspect


async def test_at_a_reload_senders_have_what_they_had_left(closing: Callable[..., None]) -> None:
    old, fresh = Keeper(max_rate=1), Keeper(max_rate=1)
    closing(old, fresh)
    for _ in range(8):
        old.table.gate.check_sender(SENDER, 0.0)
    ours, theirs = socket.socketpair()
    follower = Copy()
    closing(follower)
    follower.feed.attach(ours, giving=old.owner.snapshot())
    assert await fresh.owner.take(theirs, follower.worker)
    for _ in range(2):
        fresh.table.gate.check_sender(SENDER, 0.0)
    with pytest.raises(Refused, match="too many"):
        fresh.table.gate.check_sender(SENDER, 0.0)


async def test_a_node_that_the_new_configuration_refuses_is_left_out(
    closing: Callable[..., None], options: dict[str, Any]
) -> None:
    old, fresh = Keeper(), Keeper(**options)
    closing(old, fresh)
    old.announce()
    ours, theirs = socket.socketpair()
    follower = Copy()
    closing(follower)
    follower.feed.attach(ours, giving=old.owner.snapshot())
    assert await fresh.owner.take(theirs, follower.worker)
    assert fresh.names() == []
