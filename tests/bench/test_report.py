"""Tables of results, and of the aims."""

from bench import report
from bench.aims import AIMS, verdicts
from bench.measure import CONNECTION, GIGABYTE
from bench.results import Result
from tests.bench import samples
from tests.bench.samples import OURS, PLAIN


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


def _aims(*results: Result, scenario: str = "http") -> dict[str, list[str]]:
    outcome = samples.outcome(*results, scenario=scenario)
    return {row[0]: row[2:] for row in report.aims(verdicts({scenario: outcome}))}


NOTHING = "not measured"


def test_aims_are_met_missed_or_not_measured() -> None:
    table = report.aims(verdicts({"http": samples.http(), "http-idle": samples.idle()}))
    assert len(table) == len(AIMS) + 1
    by_name = {row[0]: row[2:] for row in table}
    missed = ["1.65", "1.15", "**missed**"]
    assert by_name["HTTP, pooled HTTP nodes"] == [*missed, NOTHING, "2.1", "-"]
    # uWSGI's router was not there to compare with.
    assert by_name["HTTP, uwsgi UNIX nodes"] == [NOTHING, "0.85", "-", NOTHING, "1.5", "-"]
    assert by_name["1 MB answers over HTTP"] == [NOTHING, "0.6", "-", NOTHING, "0.65", "-"]
    idle = by_name["idle kept connection, HTTP nodes"]
    assert idle == ["6,100", "2,600", "**missed**", NOTHING, "2,600", "-"]


def test_each_build_has_an_aim_of_its_own() -> None:
    table = _aims(
        samples.result(OURS, 22.0), samples.result(PLAIN, 44.0), samples.result("HAProxy", 20.0)
    )
    assert table["HTTP, pooled HTTP nodes"] == [
        *("1.10", "1.15", "met"),
        *("2.20", "2.1", "**missed**"),
    ]


def test_what_comes_on_top_of_another_group_is_compared() -> None:
    names, groups = (OURS, "nginx"), ("new, plain", "new, 1.3-full", "kept, TLS")
    costs = {OURS: (50.0, 170.0, 30.0), "nginx": (20.0, 120.0, 10.0)}
    measured = [
        samples.result(name, cost, group=group)
        for name in names
        for group, cost in zip(groups, costs[name], strict=True)
    ]
    table = _aims(*measured, scenario="tls")
    assert table["what TLS adds: new connection, TLS 1.3"][:3] == ["1.20", "1.3", "met"]
    # A request without TLS was not measured.
    assert table["what TLS adds: request of a kept connection"][0] == NOTHING


def test_latencies_are_compared_and_the_plain_ones_only_told() -> None:
    table = _aims(
        samples.paced(samples.result(OURS, 1.0), 1000, slower=4),
        samples.paced(samples.result(PLAIN, 1.0), 1000, slower=6),
        samples.paced(samples.result("HAProxy", 1.0), 1000),
    )
    assert table["p99 at the fixed rate, pooled HTTP nodes"] == [
        *("4.00", "3", "**missed**"),
        *("6.00", "-", "-"),
    ]
    # At no fixed rate there is no latency.
    table = _aims(samples.result(OURS, 1.0), samples.result("HAProxy", 1.0))
    assert table["p99 at the fixed rate, pooled HTTP nodes"][0] == NOTHING


def test_no_figure_is_rounded_to_the_other_side_of_its_aim() -> None:
    table = _aims(
        samples.result(OURS, 1.1504), samples.result(PLAIN, 2.1004), samples.result("HAProxy", 1.0)
    )
    assert table["HTTP, pooled HTTP nodes"] == [
        *("1.1504", "1.15", "**missed**"),
        *("2.1004", "2.1", "**missed**"),
    ]
    idle = samples.result(OURS, 2600.3, unit=CONNECTION)
    table = _aims(idle, scenario="http-idle")
    assert table["idle kept connection, HTTP nodes"][:3] == ["2,600.3", "2,600", "**missed**"]


def _pairs() -> list[Result]:
    """Return results whose pairs have the ratios 1.0 to 1.4, while the machine gets slower."""
    one = samples.result("1 key", 10.0, 20.0, 30.0, 40.0, 50.0, group="requests", reference=True)
    many = samples.result("10000 keys", 10.0, 22.0, 36.0, 52.0, 70.0, group="requests")
    one.paired = many.paired = True
    return [one, many]


def test_of_pairs_the_ratio_is_the_median_of_theirs() -> None:
    head, one, many = report.rows(_pairs())
    assert (head[3:5], one[3:5], many[3:5]) == (
        ["ratio", "quartiles"],
        ["1.00", "-"],
        ["1.20", "1.10-1.30"],
    )
    said = "Ratio: to 1 key, the median of 5 pairs of neighbouring seconds;"
    assert report.compared(_pairs()).startswith(said)
    assert _aims(*_pairs(), scenario="table")["10,000 keys against 1"] == [
        *("1.20 (1.10-1.30)", "1.05", "**missed**"),
        *(NOTHING, "1.05", "-"),
    ]


def test_runs_without_a_partner_are_no_pairs() -> None:
    one, many = _pairs()
    one.runs.pop()
    many.runs.pop()
    many.runs.pop()
    assert many.ratio(one) == 1.1
    del many.runs[1:]
    assert many.quartiles(one) == (1.0, 1.0)


def test_an_aim_that_is_just_reached_is_met() -> None:
    at_limit = samples.result(OURS, 2600.0, unit=CONNECTION)
    table = _aims(at_limit, scenario="http-idle")
    assert table["idle kept connection, HTTP nodes"][:3] == ["2,600", "2,600", "met"]
