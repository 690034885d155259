"""No time is good for two packets; and the memory of it is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.protocol.subscription import Command
from uwsgi_router.subscriptions.replay import ReplayMemory

COMMANDS: list[Command] = ["subscribe", "unsubscribe"]


def take(
    memory: ReplayMemory, command: Command, time: int, node: str = "n", key: str = "k"
) -> bool:
    about = key.encode(), node
    allowed = memory.allows(key, about, command, time)
    if allowed:
        memory.use(key, about, command, time)
    return allowed


def test_announces_need_a_newer_time() -> None:
    memory = ReplayMemory(100)
    assert take(memory, "subscribe", 10)
    assert not take(memory, "subscribe", 10)
    assert not take(memory, "subscribe", 9)
    assert take(memory, "subscribe", 11)
    assert not take(memory, "subscribe", 10)


def test_unsubscribes_do_too() -> None:
    memory = ReplayMemory(100)
    assert take(memory, "subscribe", 10)
    assert not take(memory, "unsubscribe", 10)
    assert take(memory, "unsubscribe", 11)
    assert not take(memory, "unsubscribe", 11)


def test_a_program_that_is_started_again_within_the_second_is_taken_in() -> None:
    """An unsubscribe is dated a second ahead: without that exception the node would be away for 10 s."""
    memory = ReplayMemory(100)
    assert take(memory, "subscribe", 5)
    assert take(memory, "unsubscribe", 11)  # at second 10
    assert take(memory, "subscribe", 10)
    assert not take(memory, "subscribe", 10)
    assert not take(memory, "subscribe", 11)  # the unsubscribe, its command flipped
    assert take(memory, "subscribe", 12)


def test_what_was_used_before_an_unsubscribe_stays_used() -> None:
    memory = ReplayMemory(100)
    assert take(memory, "subscribe", 10)
    assert take(memory, "unsubscribe", 11)
    assert not take(memory, "subscribe", 10)
    assert take(memory, "unsubscribe", 12)
    assert not take(memory, "subscribe", 11)
    assert not take(memory, "unsubscribe", 12)


def test_nodes_and_key_files_are_apart() -> None:
    memory = ReplayMemory(100)
    assert take(memory, "subscribe", 10, "a")
    assert take(memory, "subscribe", 10, "b")
    assert take(memory, "subscribe", 10, "a", "other")


packets = st.lists(
    st.tuples(st.sampled_from(COMMANDS), st.integers(0, 12), st.integers(0, 5)), max_size=80
)


@given(packets)
def test_no_time_of_a_node_is_ever_accepted_twice(
    sent: list[tuple[Command, int, int]],
) -> None:
    """Whatever is sent in whatever order, also with far more nodes than are remembered one by one."""
    memory = ReplayMemory(1_000, max_nodes=2)
    used: set[tuple[int, int]] = set()
    for command, time, node in sent:
        if take(memory, command, time, str(node)):
            assert (node, time) not in used
            used.add((node, time))
        assert len(memory) <= 2


def test_who_is_dated_later_than_all_before_is_always_accepted() -> None:
    memory = ReplayMemory(1_000, max_nodes=2)
    for time in range(50):
        assert take(memory, "subscribe", time, str(time % 7))


def test_one_signer_can_not_have_anything_of_anothers_forgotten() -> None:
    memory = ReplayMemory(1_000, max_nodes=3)
    assert take(memory, "subscribe", 10, "node", "victim")
    for number in range(100):
        take(memory, "subscribe", 100, str(number), "flood")
    assert not take(memory, "subscribe", 10, "node", "victim")
    assert take(memory, "subscribe", 11, "other node", "victim")
    assert len(memory) <= 6


def test_what_is_too_old_is_forgotten() -> None:
    memory = ReplayMemory(100, max_nodes=1)
    take(memory, "subscribe", 10, "a")
    take(memory, "subscribe", 20, "b")
    memory.forget_old(110)
    assert len(memory) == 1
    assert not take(memory, "subscribe", 10, "a")
    memory.forget_old(121)
    assert len(memory) == 0
    assert take(memory, "subscribe", 10, "a")


# --- our own clock was ahead ---

HOUR = 3600
NOW = 1_800_000_000


def test_what_a_clock_that_was_ahead_has_let_be_used_is_forgiven() -> None:
    memory = ReplayMemory(86_400)
    assert take(memory, "subscribe", NOW)
    for later in (0, 10, 20):
        assert take(memory, "subscribe", NOW + HOUR + later)
    assert not take(memory, "subscribe", NOW + 40)
    assert memory.clock_went_back(NOW + 35.5) == 1
    assert take(memory, "subscribe", NOW + 40)
    assert take(memory, "unsubscribe", NOW + 51)
    assert take(memory, "subscribe", NOW + 60)


def test_what_was_recorded_meanwhile_does_nothing_later() -> None:
    memory = ReplayMemory(86_400)
    recorded = [NOW - 50, NOW, NOW + HOUR, NOW + HOUR + 10, NOW + HOUR + 20]
    for time in recorded:
        assert take(memory, "subscribe", time)
    memory.clock_went_back(NOW + 35.0)
    again = ReplayMemory(86_400)
    for used in memory.items():
        again.restore(used)
    for one in (memory, again):
        for command in COMMANDS:
            assert not any(one.allows("k", (b"k", "n"), command, time) for time in recorded)
    for time in range(NOW + 40, NOW + HOUR + 100, 10):
        assert take(memory, "subscribe", time) == (time not in recorded)
        assert not any(memory.allows("k", (b"k", "n"), "subscribe", one) for one in recorded)


TIMES = st.integers(NOW, NOW + HOUR - 1)
PACKETS = st.lists(st.tuples(st.sampled_from(COMMANDS), TIMES), max_size=20)


@given(st.lists(st.tuples(PACKETS, TIMES), max_size=4))
def test_no_time_is_good_for_two_packets_whatever_our_clock_does(
    epochs: list[tuple[list[tuple[Command, int]], int]],
) -> None:
    memory = ReplayMemory(86_400)
    used: list[int] = []
    for packets, wall in epochs:
        used += [time for command, time in packets if take(memory, command, time)]
        memory.clock_went_back(wall)
    assert len(set(used)) == len(used)


def test_nodes_that_are_remembered_summarily_are_forgiven_too() -> None:
    memory = ReplayMemory(86_400, max_nodes=1)
    for node in ("a", "b"):
        assert take(memory, "subscribe", NOW + HOUR, node)
    assert not take(memory, "subscribe", NOW + 10, "a")
    memory.clock_went_back(NOW)
    assert take(memory, "subscribe", NOW + 10, "a")
    assert not take(memory, "subscribe", NOW, "c")


def test_times_ahead_are_forgotten_when_they_are_too_old() -> None:
    memory = ReplayMemory(100)
    assert take(memory, "subscribe", NOW + HOUR)
    memory.clock_went_back(NOW)
    memory.forget_old(NOW + HOUR + 99)
    assert len(memory) == 1
    memory.forget_old(NOW + HOUR + 101)
    assert len(memory) == 0
