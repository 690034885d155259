"""How fast a body has to come, on a clock of our own."""

from uwsgi_router.router.fronts.http.pace import Pace

WINDOW = 30.0


def test_nothing_is_looked_at_before_a_body_begins() -> None:
    assert Pace(500, WINDOW).until == 0.0


def test_a_window_is_looked_at_when_it_ends() -> None:
    pace = Pace(500, WINDOW)
    pace.begin(100.0, 7)
    assert (pace.until, pace.count) == (100.0 + WINDOW, 7)


def test_exactly_the_rate_is_fast_enough() -> None:
    pace = Pace(500, WINDOW)
    pace.begin(0.0, 1000)
    assert not pace.too_slow(WINDOW, 1000 + int(500 * WINDOW))


def test_one_byte_less_is_too_slow() -> None:
    pace = Pace(500, WINDOW)
    pace.begin(0.0, 1000)
    assert pace.too_slow(WINDOW, 1000 + int(500 * WINDOW) - 1)


def test_each_window_is_judged_by_its_own_bytes() -> None:
    """Who was fast once may not rest on it."""
    pace = Pace(1, WINDOW)
    pace.begin(0.0, 0)
    assert not pace.too_slow(WINDOW, 1_000_000)
    assert pace.until == 2 * WINDOW
    assert pace.too_slow(2 * WINDOW, 1_000_001)


def test_an_end_stops_it() -> None:
    pace = Pace(500, WINDOW)
    pace.begin(0.0, 0)
    pace.end()
    assert pace.until == 0.0


def test_a_rate_of_0_never_looks() -> None:
    pace = Pace(0, WINDOW)
    pace.begin(100.0, 0)
    assert pace.until == 0.0
