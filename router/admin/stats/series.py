"""Series of metrics: their prefix, labels that are printable, and a few of them at a time."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from uwsgi_router.protocol.text import show, to_bytes

_T = TypeVar("_T")

PREFIX: Final = "uwsgi_router_"
# Series, keys or nodes that are handled at once: 0.3 ms.
SLICE: Final = 50
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def label(value: str | bytes) -> str:
    """Return a label value that is printable, and different for different input."""
    if isinstance(value, str) and value.isprintable() and "\\" not in value:
        return value
    text = to_bytes(value) if isinstance(value, str) else value
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", show(text.replace(b"\\", b"\\\\")))


def single(
    make: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    text: str,
    router: str,
    value: float,
) -> Metric:
    """Return a family that has one number of each router.

    Args:
        make: its type.
        name: without the prefix.
        text: of its help.
        router: whose number it is.
        value: the number.
    """
    family = make(PREFIX + name, text, labels=["router"])
    family.add_metric([router], value)
    return family


def slices(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """Yield the items, a few at a time; of none once nothing, because a family without series is shown too."""
    for start in range(0, max(1, len(items)), SLICE):
        yield items[start : start + SLICE]
