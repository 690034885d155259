"""Remembering for a while, and not too much."""

from uwsgi_router.subscriptions.expiring_set import ExpiringSet


def test_remembers_until_it_is_too_old() -> None:
    memory: ExpiringSet[str] = ExpiringSet(10.0, 5)
    memory.add("a", 0.0)
    assert memory.contains("a", 10.0)
    assert not memory.contains("a", 10.1)
    assert not memory.contains("b", 0.0)


def test_adding_again_begins_anew() -> None:
    memory: ExpiringSet[str] = ExpiringSet(10.0, 5)
    memory.add("a", 0.0)
    memory.add("b", 5.0)
    memory.add("a", 9.0)
    memory.forget_old(15.5)
    assert len(memory) == 1
    assert memory.contains("a", 19.0)


def test_the_oldest_gives_way() -> None:
    memory: ExpiringSet[int] = ExpiringSet(10.0, 3)
    for i in range(5):
        memory.add(i, float(i))
    assert [i for i in range(5) if memory.contains(i, 5.0)] == [2, 3, 4]
    memory.discard(3)
    memory.discard(3)
    assert len(memory) == 2
    memory.forget_old(100.0)
    assert len(memory) == 0


def test_an_owner_can_have_only_its_own_things_forgotten() -> None:
    memory: ExpiringSet[str] = ExpiringSet(10.0, 100)
    memory.add("bob's", 0.0, owner="bob", share=2)
    for i in range(50):
        memory.add(f"alice's {i}", 1.0, owner="alice", share=2)
    assert len(memory) == 3
    assert memory.contains("bob's", 1.0)
    assert memory.contains("alice's 48", 1.0)
    memory.discard("alice's 49")
    memory.add("alice's 50", 1.0, owner="alice", share=2)
    assert memory.contains("alice's 48", 1.0)


def test_a_thing_may_change_hands() -> None:
    memory: ExpiringSet[str] = ExpiringSet(10.0, 100)
    memory.add("a", 0.0, owner="bob", share=1)
    memory.add("a", 1.0, owner="alice", share=1)
    memory.add("b", 2.0, owner="bob", share=1)
    assert memory.contains("a", 2.0)
    memory.forget_old(20.0)
    assert len(memory) == 0
