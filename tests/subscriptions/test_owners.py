"""Nodes belong to users: nobody changes another's, nobody takes the room of another."""

import pytest

from tests.subscriptions.table import KEY, Table, user, words
from uwsgi_router.subscriptions.grant import Grant
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.sender import Credentials

ALICE, BOB = user(1), user(2)


@pytest.mark.parametrize("other", [BOB, Grant()])
def test_only_its_owner_changes_a_node(other: Grant) -> None:
    table = Table()
    table.announce("/a", grant=ALICE, weight=2)
    with pytest.raises(Refused, match="/a belongs to another user: user 1") as refused:
        table.announce("/a", grant=other, weight=5, modifier1=5)
    assert refused.value.cause == "owner"
    with pytest.raises(Refused, match="belongs to another user"):
        table.leave("/a", grant=other)
    node = table.node("/a")
    assert (node.weight, node.modifier1, node.death_mark, node.uid) == (2, 0, False, 1)
    assert table.leave("/a", grant=ALICE)


def test_a_node_of_another_machine_is_no_users() -> None:
    table = Table()
    table.announce("10.0.0.1:1")
    with pytest.raises(Refused, match="not one of this machine's"):
        table.leave("10.0.0.1:1", grant=ALICE)


def test_a_node_that_left_may_come_back_as_somebody_elses() -> None:
    table = Table()
    table.announce("/a", grant=ALICE)
    table.leave("/a", grant=ALICE)
    table.announce("/a", grant=BOB)
    node = table.node("/a")
    assert (node.owner, node.socket_owner, node.pid, node.uid, node.gid) == (2, 2, 20, 2, 2)


def test_credentials_are_shown_and_follow_the_process() -> None:
    table = Table()
    table.announce("/a", grant=Grant(Credentials(5, 6, 7)))
    node = table.node("/a")
    assert (node.pid, node.uid, node.gid, node.owner) == (5, 6, 7, None)
    table.announce("/a", grant=Grant(Credentials(8, 6, 7)))
    assert node.pid == 8
    assert node.socket_owner is None


def test_nobody_has_more_keys_and_nodes_than_granted() -> None:
    table = Table()
    alice = user(1, max_keys=2, max_nodes=3)
    table.announce("/1", b"a", grant=alice)
    table.announce("/2", b"a", grant=alice)
    table.announce("/1", b"b", grant=alice)
    with pytest.raises(Refused, match=r"user 1 has 2 keys already \(max-keys\)") as refused:
        table.announce("/1", b"c", grant=alice)
    assert refused.value.cause == "full"
    with pytest.raises(Refused, match=r"user 1 has 3 nodes already \(max-nodes\)"):
        table.announce("/3", b"a", grant=alice)
    # What is there is refreshed, and others have their own room.
    table.announce("/2", b"a", grant=alice)
    table.announce("/1", b"c", grant=BOB)
    # Room that is given back can be used again.
    table.leave("/1", b"b", grant=alice)
    table.announce("/1", b"d", grant=alice)


def test_dead_nodes_count_until_they_are_gone() -> None:
    """Or a user could hold any number of them with requests that never end."""
    table = Table()
    alice = user(1, max_nodes=1)
    table.announce("/1", grant=alice)
    node = table.node("/1")
    node.reference += 1
    table.leave("/1", grant=alice)
    with pytest.raises(Refused, match="max-nodes"):
        table.announce("/2", grant=alice)
    assert words(table.release(node)) == ["NodeRemoved /1", "PoolRemoved example.com"]
    table.announce("/2", grant=alice)


def test_nobody_can_have_the_router_forget_anothers_keys() -> None:
    """Requests for them would not be held any more."""
    table = Table(max_keys=10)
    table.announce("/a", KEY, grant=BOB)
    table.leave("/a", KEY, grant=BOB)
    for number in range(100):
        key = b"%d.alice" % number
        table.announce("/a", key, grant=ALICE)
        table.leave("/a", key, grant=ALICE)
    assert table.registry.was_announced(KEY, table.now)
    assert table.registry.was_announced(b"99.alice", table.now)
    assert not table.registry.was_announced(b"0.alice", table.now)
