"""Announces come at once, again after a second, then at intervals; sooner while they fail."""

from uwsgi_router.subscriptions.client.schedule import Schedule


def test_all_is_well() -> None:
    schedule = Schedule()
    assert [schedule.after(well=True) for _ in range(4)] == [1, 10, 10, 10]


def test_failures_are_repeated_ever_more_slowly() -> None:
    schedule = Schedule()
    assert [schedule.after(well=False) for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert schedule.after(well=True) == 10
    assert schedule.after(well=False) == 1


def test_a_short_interval_is_never_exceeded() -> None:
    schedule = Schedule(0.5)
    assert [schedule.after(well=well) for well in (True, False, False, True)] == [0.5] * 4
