"""What Prometheus reads: values, labels, and that series go with their nodes."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from tests.lab.keys import normal_keys
from tests.router.admin.stats.fixtures import (
    NOW,
    WALL,
    Connections,
    Dropping,
    Source,
    announce,
    configured,
)
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.router.admin.stats import metrics
from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.subscriptions.registry import Registry
from uwsgi_router.version import __version__, build

Labels = frozenset[tuple[str, str]]


def scrape(source: Source) -> dict[tuple[str, Labels], float]:
    text = b"".join(metrics.render(source, now=NOW, wall=WALL)).decode()
    samples: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            place = (sample.name, frozenset(sample.labels.items()))
            assert place not in samples, f"two series {place}"
            samples[place] = sample.value
    return samples


def value(samples: dict[tuple[str, Labels], float], name: str, **labels: str) -> float:
    return samples[name, frozenset({"router": "fastrouter", **labels}.items())]


def test_counters_of_the_router() -> None:
    source = Source(active_sessions=3, cheap=True, access_log=Dropping(13))
    counters = source.counters
    counters.requests = 10
    counters.completed = 6
    counters.client_aborts = 1
    counters.failed["connect"] += 2
    counters.failed["unknown-key"] += 1
    counters.retries = 4
    counters.retries_refused = 21
    counters.resent = 5
    counters.held = 7
    counters.holding = 2
    counters.queued = 14
    counters.queueing = 15
    counters.refused_packets = 8
    counters.refused_datagrams = 12
    counters.clients.tx = 2**40
    counters.clients.rx = 9
    counters.accept_errors = 11
    counters.spooled_bytes = 16
    counters.spilled = 17
    counters.idle_closed = 18
    counters.lost_datagrams = 20
    counters.refused_connections["max-connections"] += 19
    samples = scrape(source)
    expected = {
        "active_sessions": 3,
        "cheap": 1,
        "requests_total": 10,
        "requests_completed_total": 6,
        "requests_client_aborted_total": 1,
        "connect_retries_total": 4,
        "retries_refused_total": 21,
        "requests_resent_total": 5,
        "requests_held_total": 7,
        "requests_holding": 2,
        "requests_queued_total": 14,
        "requests_queueing": 15,
        "access_log_lines_dropped_total": 13,
        "refused_packets_total": 8,
        "refused_datagrams_total": 12,
        "client_received_bytes_total": 2**40,
        "client_sent_bytes_total": 9,
        "accept_errors_total": 11,
        "spooled_bytes": 16,
        "bodies_spilled_total": 17,
        "idle_connections_closed_total": 18,
        "lost_datagrams_total": 20,
    }
    for name, number in expected.items():
        assert value(samples, f"uwsgi_router_{name}") == number, name
    assert value(samples, "uwsgi_router_requests_failed_total", reason="connect") == 2
    refused = "uwsgi_router_connections_refused_total"
    assert value(samples, refused, option="max-connections") == 19
    assert value(samples, "uwsgi_router_requests_failed_total", reason="unknown-key") == 1
    assert value(samples, "uwsgi_router_build_info", version=__version__, build=build()) == 1


def test_descriptors_of_the_process_are_there() -> None:
    samples = scrape(Source())
    assert samples["process_open_fds", frozenset()] > 0


def test_keys_and_nodes_are_labels() -> None:
    registry = Registry(started=0.0)
    node = announce(registry, b"example.com", "127.0.0.1:3031", now=NOW - 8, weight=3)
    announce(registry, b"example.com", "/run/two.sock")
    registry.find(b"example.com")
    node.connect_started()
    node.connected()
    node.tx, node.rx, node.failcnt, node.reference = 100, 50, 2, 1
    samples = scrape(Source(registry=registry))
    assert value(samples, "uwsgi_router_key_lookups_total", key="example.com") == 1
    assert value(samples, "uwsgi_router_key_nodes", key="example.com") == 2
    where = {"key": "example.com", "node": "127.0.0.1:3031"}
    for name, number in {
        "requests_total": 1,
        "failures_total": 2,
        "received_bytes_total": 100,
        "sent_bytes_total": 50,
        "active": 1,
        "up": 1,
        "healthy": 1,
        "weight": 3,
        "last_announce_timestamp_seconds": WALL - 8,
    }.items():
        assert value(samples, f"uwsgi_router_node_{name}", **where) == number, name


def test_kept_connections_are_shown_by_node_and_in_sum() -> None:
    registry = Registry(started=0.0)
    announced = announce(registry, b"example.com", "127.0.0.1:1")
    twice = [configured("127.0.0.1:2"), configured("127.0.0.1:2")]
    # The third kind has no series of its own: a forwarder without a list gave it.
    elsewhere = configured("127.0.0.1:3")
    kept = Connections({announced: 3, twice[0]: 1, twice[1]: 2, elsewhere: 4})
    samples = scrape(Source(registry=registry, static_nodes=twice, upstreams=kept))
    name = "uwsgi_router_node_kept_connections"
    assert value(samples, name, key="example.com", node="127.0.0.1:1") == 3
    assert value(samples, name, key="", node="127.0.0.1:2") == 3
    assert value(samples, "uwsgi_router_kept_connections") == 10


def test_a_node_that_fails_its_checks_or_requests_is_not_up() -> None:
    registry = Registry(started=0.0)
    ill, tired = announce(registry, b"k", "127.0.0.1:1"), announce(registry, b"k", "127.0.0.1:2")
    registry.health.unhealthy(ill, "Connection refused")
    for _ in range(5):
        registry.health.request_failed(tired, NOW)
    samples = scrape(Source(registry=registry))
    assert value(samples, "uwsgi_router_key_nodes", key="k") == 1
    for node, up, healthy in ((ill, 0, 0), (tired, 0, 1)):
        where = {"key": "k", "node": node.name}
        assert value(samples, "uwsgi_router_node_up", **where) == up
        assert value(samples, "uwsgi_router_node_healthy", **where) == healthy


def test_static_nodes_have_no_key_and_one_series_each_even_if_configured_twice() -> None:
    twice = [configured("127.0.0.1:1"), configured("127.0.0.1:1"), configured("127.0.0.1:2")]
    for node in twice:
        node.requests = 5
    samples = scrape(Source(static_nodes=twice))
    assert value(samples, "uwsgi_router_node_requests_total", key="", node="127.0.0.1:1") == 10
    assert value(samples, "uwsgi_router_node_requests_total", key="", node="127.0.0.1:2") == 5


def test_series_of_a_node_that_left_disappear() -> None:
    registry = Registry(started=0.0)
    announce(registry, b"leaves", "127.0.0.1:2", now=NOW - 1_000)
    announce(registry, b"stays", "127.0.0.1:1", now=NOW)
    source = Source(registry=registry)
    assert any(("key", "leaves") in labels for _, labels in scrape(source))
    registry.sweep(NOW)
    left = [labels for _, labels in scrape(source)]
    assert not any(("key", "leaves") in labels for labels in left)
    assert any(("key", "stays") in labels for labels in left)


def test_silent_node_is_shown_as_down_while_it_is_the_last_resort() -> None:
    registry = Registry(started=0.0)
    announce(registry, b"k", "127.0.0.1:1", now=NOW - 20)
    registry.sweep(NOW)
    samples = scrape(Source(registry=registry))
    assert value(samples, "uwsgi_router_node_up", key="k", node="127.0.0.1:1") == 0
    assert value(samples, "uwsgi_router_key_nodes", key="k") == 0


def test_large_table_comes_in_many_pieces_that_make_one_exposition() -> None:
    registry = Registry(started=0.0)
    for number in range(1_200):
        announce(registry, b"key%d" % number, "127.0.0.1:1")
    source = Source(registry=registry)
    pieces = list(metrics.render(source, now=NOW, wall=WALL))
    assert max(map(len, pieces)) < 100_000
    text = b"".join(pieces).decode()
    assert text.count("# TYPE uwsgi_router_node_up gauge") == 1
    ups = [labels for name, labels in scrape(source) if name == "uwsgi_router_node_up"]
    assert len(ups) == 1_200


@pytest.mark.parametrize(("keys", "nodes"), [(10_000, 1), (10, 1_000)])
def test_no_piece_of_a_scrape_of_ten_thousand_nodes_takes_a_hundredth_of_it(
    keys: int, nodes: int
) -> None:
    registry = Registry(started=0.0, max_keys=2 * keys, max_nodes_per_key=2 * nodes)
    for number in range(keys * nodes):
        announce(registry, b"key%d" % (number % keys), f"127.0.0.1:{1 + number // keys}")
    source = Source(registry=registry)

    def times() -> list[float]:
        """CPU of each piece, in seconds."""
        pieces = metrics.render(source, now=NOW, wall=WALL)
        spent = [0.0]
        began = time.thread_time()
        for _ in pieces:
            now = time.thread_time()
            spent.append(now - began)
            began = time.thread_time()
        return spent

    # The best of three: neighbours, and the collector with all that the tests have made, take their time as well.
    best = list(map(min, times(), times(), times()))
    # Two to four milliseconds of a second.
    assert max(best) < sum(best) / 100


def test_nodes_that_come_and_go_during_a_scrape_leave_it_whole() -> None:
    registry = Registry(started=0.0)
    source = Source(registry=registry)
    for number in range(200):
        announce(registry, b"key%d" % (number % 50), f"127.0.0.1:{1 + number}")
    text = b""
    for turn, piece in enumerate(metrics.render(source, now=NOW, wall=WALL)):
        text += piece
        leaves = Subscription("unsubscribe", b"key%d" % (turn % 50), f"127.0.0.1:{1 + turn}")
        registry.apply(leaves, source=None, now=NOW)
        announce(registry, b"new%d" % turn, "127.0.0.1:1")
    families = {
        family.name: {(sample.labels["key"], sample.labels["node"]) for sample in family.samples}
        for family in text_string_to_metric_families(text.decode())
        if family.name.startswith("uwsgi_router_node_")
    }
    (shown, *others) = families.values()
    assert len(others) == 9
    assert all(series == shown for series in others)
    assert 150 <= len(shown) < 250


def test_labels_show_odd_bytes_and_keep_different_keys_apart() -> None:
    registry = Registry(started=0.0)
    keys = {
        b"a\xff": "a\\xff",
        b"a\\xff": "a\\\\xff",
        b"a\xc2\x9b": "a\\x9b",
        b"a\\x9b": "a\\\\x9b",
        b'a"b': 'a"b',
        "bücher".encode(): "bücher",
        b"\xc2\x85": "\\x85",
    }
    for key in keys:
        announce(registry, key, "127.0.0.1:1")
    shown = {
        dict(labels)["key"]
        for name, labels in scrape(Source(registry=registry))
        if name == "uwsgi_router_node_up"
    }
    assert shown == set(keys.values())


@given(st.lists(normal_keys(), unique=True, max_size=20))
def test_any_keys_make_a_scrape_with_a_series_each(keys: list[bytes]) -> None:
    registry = Registry(started=0.0)
    for key in keys:
        announce(registry, key, "127.0.0.1:1")
    text = b"".join(metrics.render(Source(registry=registry), now=NOW, wall=WALL)).decode()
    lines = [line for line in text.split("\n") if line.startswith("uwsgi_router_node_up{")]
    assert len(set(lines)) == len(keys)


def test_handshakes_and_ends_of_certificates_of_routers_that_speak_tls() -> None:
    ends = [
        CertificateEnd("a.example", "/a.crt", 2_000_000_000),
        CertificateEnd("a.example", "/b.crt", 1_900_000_000),
        CertificateEnd("*.b.example", "/a.crt", 2_000_000_000),
    ]
    source = Source(certificate_ends=ends)
    source.counters.handshakes["TLSv1.3"] = 5
    source.counters.handshakes_resumed = 2
    source.counters.handshakes_failed["version"] = 3
    samples = scrape(source)
    assert value(samples, "uwsgi_router_tls_handshakes_total", version="TLSv1.3") == 5
    assert value(samples, "uwsgi_router_tls_handshakes_resumed_total") == 2
    assert value(samples, "uwsgi_router_tls_handshakes_failed_total", reason="version") == 3
    name = "uwsgi_router_certificate_not_after_timestamp_seconds"
    assert value(samples, name, certificate="a.example") == 1_900_000_000
    assert value(samples, name, certificate="*.b.example") == 2_000_000_000
    assert not any("tls" in one or "certificate" in one for one, _ in scrape(Source()))
