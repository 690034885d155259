"""Micro benchmarks of HTTP: heads with ten fields that differ from one to the next, and chunks."""

import random
from collections.abc import Callable, Mapping

from bench import heads
from bench.micro.micro import Micro
from uwsgi_router.protocol.http.body import Chunked, ChunkedEncoder
from uwsgi_router.protocol.http.forward import request_head
from uwsgi_router.protocol.http.origin import origin_of_peer
from uwsgi_router.protocol.http.request import parse_request
from uwsgi_router.protocol.http.request_head import RequestHead
from uwsgi_router.protocol.http.response import parse_response
from uwsgi_router.protocol.http.variables import connection_block, request_block

_ORIGIN = origin_of_peer(("192.0.2.7", 50_001), https=False)
_CHUNK, _CHUNKS = 4096, 16


def _requests() -> list[bytes]:
    return [head.text.encode() for head in heads.heads(heads.FROM_BROWSER)]


def _parsed() -> list[RequestHead]:
    return [head for text in _requests() if (head := parse_request(text)) is not None]


def _answers() -> list[bytes]:
    numbers = random.Random(6)
    return [
        (
            "HTTP/1.1 200 OK\r\nServer: nginx\r\n"
            f"Date: Sat, 21 Nov 2026 15:{number % 60:02}:{number // 60:02} GMT\r\n"
            "Content-Type: text/html; charset=utf-8\r\n"
            f"Content-Length: {numbers.randrange(100, 50_000)}\r\nConnection: keep-alive\r\n"
            f'ETag: "{numbers.randbytes(8).hex()}"\r\nCache-Control: private, max-age=0\r\n'
            f"Set-Cookie: session={numbers.randbytes(10).hex()}; Path=/; HttpOnly; Secure\r\n"
            f"X-Request-Id: {numbers.randbytes(16).hex()}\r\nVary: Accept-Encoding\r\n\r\n"
        ).encode()
        for number in range(heads.COUNT)
    ]


def _parse_requests() -> Callable[[], object]:
    requests = _requests()

    def call() -> None:
        for request in requests:
            parse_request(request)

    return call


def _parse_answers() -> Callable[[], object]:
    answers = _answers()

    def call() -> None:
        for answer in answers:
            parse_response(answer)

    return call


def _write_heads() -> Callable[[], object]:
    parsed = _parsed()

    def call() -> None:
        for head in parsed:
            request_head(head, _ORIGIN, content_length=None)

    return call


def _write_blocks() -> Callable[[], object]:
    parsed = _parsed()
    connection = connection_block(server_name=b"app.example.com", server_port=b"8080")

    def call() -> None:
        for head in parsed:
            request_block(head, _ORIGIN, connection, content_length=None)

    return call


def _decode_chunks() -> Callable[[], object]:
    encoder, piece = ChunkedEncoder(), bytes(_CHUNK)
    body = encoder.encode(piece) * _CHUNKS + encoder.finish()
    return lambda: Chunked().feed(body)


def _encode_chunks() -> Callable[[], object]:
    encode, piece = ChunkedEncoder().encode, bytes(_CHUNK)

    def call() -> None:
        for _ in range(_CHUNKS):
            encode(piece)

    return call


MICROS: Mapping[str, Micro] = {
    "request-parser": Micro(_parse_requests, heads.COUNT),
    "response-parser": Micro(_parse_answers, heads.COUNT),
    "request-head": Micro(_write_heads, heads.COUNT),
    "request-block": Micro(_write_blocks, heads.COUNT),
    "chunked-decode": Micro(_decode_chunks, _CHUNKS),
    "chunked-encode": Micro(_encode_chunks, _CHUNKS),
}
