"""The rate, h2load's beats, its log, percentiles."""

import math

import pytest

from bench.latency import MOST_PER_CLIENT, beat, percentile, rate_for, read_log
from bench.programs import MeasureError


@pytest.mark.parametrize(
    ("throughputs", "rate"),
    [
        ([7312.0, 20_000.0], 4300),
        ([14_000.0], 8400),
        ([160.0, 170.0], 96),
        ([12.0], 7),
        ([0.5], 1),
    ],
)
def test_the_rate_is_below_what_the_slowest_can_do(throughputs: list[float], rate: int) -> None:
    assert rate_for(throughputs) == rate


@pytest.mark.parametrize("rate", [50, 230, 500, 1100, 3100, 4571, 6400, 9100, 15_000])
def test_clients_send_spread_over_their_beat(rate: int) -> None:
    chosen = beat(rate)
    assert chosen.clients * chosen.each == pytest.approx(rate)
    assert chosen.each <= MOST_PER_CLIENT
    assert chosen.start < 5
    # Started together, they would all be in one quarter of the beat.
    period = 1000 / chosen.each
    quarters = [0, 0, 0, 0]
    for client in range(chosen.clients):
        quarters[int(client * chosen.apart % period / period * 4)] += 1
    assert min(quarters) >= chosen.clients / 6
    assert max(quarters) <= chosen.clients * 2 / 5


def test_a_log_is_read_without_its_begin_and_its_end() -> None:
    text = "".join(
        f"{1_700_000_000_000_000 + number * 1000}\t200\t{number}\n" for number in range(5000)
    )
    paced = read_log(text, start=1.0, seconds=2.0)
    assert paced.rate == 1000
    assert paced.failed == 0
    assert paced.latencies == list(range(1000, 3000))


def test_what_is_not_answered_well_failed_and_has_no_latency() -> None:
    paced = read_log("5\t200\t100\n6\t502\t101\n7\t-1\t102\n8\t304\t103\n", 0.0, 1.0)
    assert paced.failed == 2
    assert paced.rate == 4
    assert paced.latencies == [100, 103]


def test_columns_that_come_later_do_no_harm() -> None:
    assert read_log("5\t200\t100\tsomething\n", 0.0, 1.0).latencies == [100]


@pytest.mark.parametrize("text", ["", "5\t502\t100\n"])
def test_no_answer_at_all_can_not_be_measured(text: str) -> None:
    with pytest.raises(MeasureError, match="none was answered"):
        read_log(text, 0.0, 1.0)


@pytest.mark.parametrize(
    ("percent", "value"), [(50, 50), (99, 99), (99.9, 100), (100, 100), (1, 1), (0, 1)]
)
def test_percentiles_of_a_hundred(percent: float, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def test_percentiles_are_values_that_were_there() -> None:
    assert percentile([7], 50) == 7
    assert percentile([1, 9], 50) == 1
    assert percentile([1, 9], 50.1) == 9
    assert not math.isnan(percentile([3, 3, 3], 99.9))
