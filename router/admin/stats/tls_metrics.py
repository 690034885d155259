"""Prometheus metrics of TLS: handshakes, and until when certificates are valid."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from uwsgi_router.router.admin.stats.series import PREFIX, label, single, slices
from uwsgi_router.router.certificates.expiry import CertificateEnd
from uwsgi_router.router.report.counters import Counters


def tls_families(
    router: str, counters: Counters, ends: Sequence[CertificateEnd]
) -> Iterator[Metric]:
    """Yield what is told of TLS.

    Args:
        router: its short name.
        counters: of handshakes.
        ends: of certificates that are served.
    """
    for metric, text, word, counts in (
        (
            "tls_handshakes",
            "TLS handshakes that succeeded, by version.",
            "version",
            counters.handshakes,
        ),
        (
            "tls_handshakes_failed",
            "TLS handshakes that failed, by reason.",
            "reason",
            counters.handshakes_failed,
        ),
    ):
        family = CounterMetricFamily(PREFIX + metric, text, labels=["router", word])
        for value, count in list(counts.items()):
            family.add_metric([router, value], count)
        yield family
    yield single(
        CounterMetricFamily,
        "tls_handshakes_resumed",
        "Those that went on with an earlier session.",
        router,
        counters.handshakes_resumed,
    )
    first: dict[str, int] = {}
    for end in ends:
        # Several files may be for one name: of a listener and of a node that announces it.
        name = label(end.name)
        first[name] = min(end.not_after, first.get(name, end.not_after))
    for some in slices(list(first.items())):
        gauge = GaugeMetricFamily(
            PREFIX + "certificate_not_after_timestamp_seconds",
            "Until when a certificate is valid that is served.",
            labels=["router", "certificate"],
        )
        for name, not_after in some:
            gauge.add_metric([router, name], not_after)
        yield gauge
