"""Tables of results, and of the aims."""

from bench import report
from bench.aims import AIMS, verdicts
from bench.measure import CONNECTION, GIGABYTE
from tests.bench import samples
from tests.bench.samples import OURS


def test_the_table_of_a_group() -> None:
    table = report.rows(samples.http().groups["HTTP node"])
    assert table == [
        [
            *("program", "CPU µs/request", "min-max", "ratio", "requests/s"),
            *("p50, ms", "p99, ms", "p99.9, ms", "CPU µs then"),
        ],
        [OURS, "33.0", "30.0-36.0", "1.65", "1,000", "0.50", "0.99", "1.00", "40.0"],
        ["HAProxy", "20.0", "19.0-22.0", "1.00", "1,000", "0.50", "0.99", "1.00", "40.0"],
    ]


def test_a_table_is_followed_by_what_it_does_not_say() -> None:
    groups = samples.http().groups
    said = "Ratio: to HAProxy. Latency, and what was spent then: at 4,700 requests/s."
    assert report.compared(groups["HTTP node"]) == said
    assert report.compared(groups["UNIX node"]) == ""


def test_columns_without_figures_are_left_out() -> None:
    assert report.rows(samples.idle().groups["HTTP node"]) == [
        ["program", "bytes/connection"],
        [OURS, "6,100"],
    ]


def test_failures_have_a_column_of_their_own() -> None:
    table = report.rows([samples.result("a", 1.0), samples.result("b", 2.0, failed=1500)])
    assert [row[-1] for row in table] == ["failed", "0", "1,500"]


def test_who_has_no_latency_has_a_dash() -> None:
    table = report.rows([samples.paced(samples.result("a", 1.0), 100), samples.result("b", 2.0)])
    assert table[2][-4:] == ["-", "-", "-", "-"]


def test_gigabytes_have_seconds() -> None:
    table = report.rows([samples.result("nginx", 0.512, unit=GIGABYTE)])
    assert table[0][1] == "CPU s/GB"
    assert table[1][1] == "0.51"


def test_markdown() -> None:
    assert report.markdown([["a", "b"], ["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_a_terminal_has_columns() -> None:
    assert report.aligned([["a", "bb"], ["xyz", "1"]]) == "a    bb\nxyz   1"


def test_a_terminal_names_what_went_wrong() -> None:
    slow = samples.paced(samples.result("nginx", 20.0), 1000, sent=0.5)
    text = report.terminal(samples.outcome(slow, errors=["HTTP node, HAProxy: it has ended"]))
    assert "NOT MEASURED: HTTP node, HAProxy: it has ended" in text
    assert "RATE NOT HELD: HTTP node, nginx: 500 of 1,000 requests/s" in text


def test_aims_are_met_missed_or_not_measured() -> None:
    table = report.aims(verdicts({"http": samples.http(), "http-idle": samples.idle()}))
    assert len(table) == len(AIMS) + 1
    by_name = {row[0]: row[2:] for row in table}
    assert by_name["HTTP keepalive, pooled HTTP nodes"] == ["1.65 x", "yes"]
    assert by_name["the same, stretched"] == ["1.65 x", "**no**"]
    # uWSGI's router was not there to compare with.
    assert by_name["HTTP keepalive, uwsgi UNIX nodes"] == ["not measured", "-"]
    assert by_name["1 MB answers over HTTP"] == ["not measured", "-"]
    assert by_name["idle kept connection, HTTP nodes"] == ["6,100 bytes", "**no**"]


def test_an_aim_that_is_just_reached_is_met() -> None:
    at_limit = samples.outcome(samples.result(OURS, 6000.0, unit=CONNECTION), scenario="http-idle")
    assert {verdict.aim.group: verdict.met for verdict in verdicts({"http-idle": at_limit})}[
        "HTTP node"
    ]
