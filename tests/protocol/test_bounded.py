"""Dictionaries with a limit: what they forget."""

from uwsgi_router.protocol.bounded import Bounded


def test_the_oldest_is_forgotten_first_and_only_for_a_new_one() -> None:
    known: Bounded[str, int] = Bounded(2)
    known["a"], known["b"] = 1, 2
    known["a"] = 3
    assert dict(known) == {"a": 3, "b": 2}
    known["c"] = 4
    assert dict(known) == {"b": 2, "c": 4}


def test_what_was_taken_out_leaves_room() -> None:
    known: Bounded[str, int] = Bounded(2)
    known["a"], known["b"] = 1, 2
    del known["a"]
    known["c"] = 3
    assert dict(known) == {"b": 2, "c": 3}
