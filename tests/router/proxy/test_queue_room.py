"""Room in the queue: bounded, and whose queue is longest makes room for others."""

from hypothesis import given
from hypothesis import strategies as st

from tests.compiled import PLAIN_ONLY
from uwsgi_router.protocol.address import UnixAddress
from uwsgi_router.router.proxy.queue_room import QueueRoom
from uwsgi_router.router.proxy.waiter import Waiter
from uwsgi_router.subscriptions.node import Node

pytestmark = PLAIN_ONLY


class Waiting(Waiter):
    """A request that waits."""

    def __init__(self, group: str) -> None:
        super().__init__()
        self.group = group

    def wake(self) -> None: ...

    def accepts(self, node: Node) -> bool:
        return True

    def limit_of(self, node: Node) -> int | None:
        return None


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from("abcx"), st.integers(0, 9)), max_size=60),
)
def test_who_has_most_makes_room(most: int, steps: list[tuple[str, int]]) -> None:
    room = QueueRoom(most)
    waiting: list[Waiting] = []

    def lengths() -> dict[str, int]:
        return {group: sum(one.group == group for one in waiting) for group in "abc"}

    for group, number in steps:
        if group == "x":
            if waiting:
                gone = waiting.pop(number % len(waiting))
                assert room.leave(gone, gone.group)
                assert not room.leave(gone, gone.group)
            continue
        newcomer, before = Waiting(group), lengths()
        fits = len(waiting) < most
        may = fits or before[group] + 1 < max(before.values())
        assert room.has_room_for(group) == may
        assert room.enter(newcomer, group) == may
        if may and not fits:
            (shed,) = [one for one in waiting if one.notified]
            assert before[shed.group] == max(before.values())
            # The last one of its group.
            assert [one for one in waiting if one.group == shed.group][-1] is shed
            assert not room.leave(shed, shed.group)
            waiting.remove(shed)
        assert not any(one.notified for one in waiting)
        if may:
            waiting.append(newcomer)
        assert len(room) == len(waiting) <= most
    for one in waiting:
        assert room.leave(one, one.group)
    assert (len(room), room._groups, room._by_length) == (0, {}, {})


def test_who_has_just_been_given_a_connection_is_not_woken_to_be_told_that_there_is_no_room() -> (
    None
):
    room, crowd = QueueRoom(3), [Waiting("a") for _ in range(3)]
    for one in crowd:
        assert room.enter(one, "a")
    crowd[-1].granted = Node("a", UnixAddress(b"/a"))
    assert room.enter(Waiting("b"), "b")
    assert not crowd[-1].notified
    assert len(room) == 3
