"""Remembering for a while, and not too much."""

from subscriptions.memory import Memory


def test_remembers_until_it_is_too_old() -> None:
    memory: Memory[str] = Memory(10.0, 5)
    memory.add("a", 0.0)
    assert memory.knows("a", 10.0)
    assert not memory.knows("a", 10.1)
    assert not memory.knows("b", 0.0)


def test_adding_again_begins_anew() -> None:
    memory: Memory[str] = Memory(10.0, 5)
    memory.add("a", 0.0)
    memory.add("b", 5.0)
    memory.add("a", 9.0)
    memory.forget_old(15.5)
    assert len(memory) == 1
    assert memory.knows("a", 19.0)


def test_the_oldest_gives_way() -> None:
    memory: Memory[int] = Memory(10.0, 3)
    for i in range(5):
        memory.add(i, float(i))
    assert [i for i in range(5) if memory.knows(i, 5.0)] == [2, 3, 4]
    memory.discard(3)
    memory.discard(3)
    assert len(memory) == 2
    memory.forget_old(100.0)
    assert len(memory) == 0
