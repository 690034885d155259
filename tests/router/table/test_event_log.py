"""Lines about nodes: all of them as long as little happens, then some, and a summary."""

from tests.lab.log import Log
from tests.subscriptions.table import Table
from uwsgi_router.router.table.event_log import EventLog


class Churn:
    """A table whose keys come and go, and its log."""

    def __init__(self) -> None:
        self.now = 0.0
        self.table = Table()
        self.log = EventLog(17.0, lambda: self.now)

    def come_and_go(self, count: int) -> None:
        for number in range(count):
            key = b"%d.example" % number
            self.log.write(self.table.announce("10.0.0.1:80", key))
            self.log.write(self.table.leave("10.0.0.1:80", key))


def test_what_happens_now_and_then_is_told_line_by_line(log: Log) -> None:
    churn = Churn()
    churn.come_and_go(1)
    assert log.lines == [
        "info new pool 0.example (wrr)",
        "info [0.example] new node: 10.0.0.1:80 (weight 1, backup 0)",
        "info [0.example] 10.0.0.1:80 leaves: it unsubscribed",
        "info [0.example] no nodes left",
    ]


def test_churn_makes_a_thousand_lines_then_ten_a_second_and_a_summary(log: Log) -> None:
    churn = Churn()
    churn.come_and_go(10_000)
    assert len(log.lines) == 1_000
    churn.now = 10.0
    churn.log.sum_up()
    (summary,) = log.lines[1_000:]
    assert summary.endswith(
        "left out: 9750 new nodes, 9750 nodes marked as failed, 9750 new pools, 9750 pools without nodes, 0 others"
    )
    churn.come_and_go(10_000)
    assert len(log.lines) == 1_101
    churn.log.sum_up()
    assert len(log.lines) == 1_101


def test_a_table_that_is_quiet_says_nothing(log: Log) -> None:
    churn = Churn()
    churn.now = 100.0
    churn.log.sum_up()
    assert log.lines == []
