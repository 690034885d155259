"""Micro benchmarks of uwsgi packets as nginx sends them (``uwsgi_params``), requests, and announces."""

from collections.abc import Callable, Mapping

from bench import heads
from bench.micro.micro import Micro
from uwsgi_router.protocol.http.from_variables import head_from_variables
from uwsgi_router.protocol.subscription import Subscription, decode, encode
from uwsgi_router.protocol.uwsgi import HEADER_SIZE, decode_variables, encode_packet
from uwsgi_router.router.fronts.uwsgi.parser import UwsgiParser

Variables = list[tuple[bytes, bytes]]


def nginx_variables(head: heads.Head) -> Variables:
    """Return what nginx makes of a request: ``uwsgi_params``, and the fields."""
    path, _, query = head.target.partition("?")
    texts = [
        ("QUERY_STRING", query),
        ("REQUEST_METHOD", "GET"),
        ("CONTENT_TYPE", ""),
        ("CONTENT_LENGTH", ""),
        ("REQUEST_URI", head.target),
        ("PATH_INFO", path),
        ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_SCHEME", "http"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("REMOTE_PORT", "50001"),
        ("SERVER_PORT", "80"),
        ("SERVER_NAME", head.host),
        ("HTTP_HOST", head.host),
        *((f"HTTP_{name.upper().replace('-', '_')}", value) for name, value in head.fields),
    ]
    return [(name.encode(), value.encode()) for name, value in texts]


def _all_variables() -> list[Variables]:
    return [nginx_variables(head) for head in heads.heads(heads.FROM_SERVER)]


def _packets() -> list[bytes]:
    return [encode_packet(variables) for variables in _all_variables()]


def _decode_packets() -> Callable[[], object]:
    blocks = [packet[HEADER_SIZE:] for packet in _packets()]

    def call() -> None:
        for block in blocks:
            decode_variables(block)

    return call


def _encode_packets() -> Callable[[], object]:
    requests = _all_variables()

    def call() -> None:
        for variables in requests:
            encode_packet(variables)

    return call


def _read_packets() -> Callable[[], object]:
    packets, front = _packets(), UwsgiParser(force_key=None, keep_modifiers=False)

    def call() -> None:
        for packet in packets:
            front.parse(packet, "")

    return call


def _make_heads() -> Callable[[], object]:
    requests = _all_variables()

    def call() -> None:
        for variables in requests:
            head_from_variables(variables)

    return call


def _decode_announces() -> Callable[[], object]:
    datagrams = [
        encode(
            Subscription(
                "subscribe",
                b"site%d.example.com" % number,
                f"127.0.0.1:{3000 + number}",
                cores=8,
                load=number,
                weight=1 + number % 4,
            )
        )
        for number in range(heads.COUNT)
    ]

    def call() -> None:
        for datagram in datagrams:
            decode(datagram)

    return call


MICROS: Mapping[str, Micro] = {
    "packet-decode": Micro(_decode_packets, heads.COUNT),
    "packet-encode": Micro(_encode_packets, heads.COUNT),
    "packet-front": Micro(_read_packets, heads.COUNT),
    "from-variables": Micro(_make_heads, heads.COUNT),
    "subscription-decode": Micro(_decode_announces, heads.COUNT),
}
