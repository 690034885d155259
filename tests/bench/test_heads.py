"""The heads that the benchmarks send: ten fields, all different, and understood by our parser."""

import socket
import subprocess
import threading
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from bench import heads
from bench.measure import Load
from bench.programs import MissingError, find
from uwsgi_router.protocol.http.request import parse_request


@pytest.mark.parametrize("tenth", [heads.FROM_SERVER, heads.FROM_BROWSER])
def test_no_two_heads_are_the_same_and_each_has_ten_fields(tenth: tuple[str, str]) -> None:
    several = heads.heads(tenth)
    assert len({head.text for head in several}) == heads.COUNT
    for head in several:
        lines = head.text.removesuffix("\r\n\r\n").split("\r\n")
        assert len(lines) == 11
        parsed = parse_request(head.text.encode())
        assert parsed is not None
        assert parsed.size == len(head.text)
        assert parsed.host == heads.HOST.encode()
        assert parsed.query


def test_what_differs_is_the_target_and_three_fields() -> None:
    several = heads.heads(heads.FROM_SERVER)
    values: dict[str, set[str]] = {"target": {head.target for head in several}}
    for head in several:
        for name, value in head.fields:
            values.setdefault(name, set()).add(value)
    differ = {name for name, found in values.items() if len(found) > 1}
    assert differ == {"target", "Referer", "Cookie", "X-Request-Id"}
    # So that neither whole values nor whole heads are met again soon.
    assert all(len(values[name]) > heads.COUNT * 0.9 for name in differ)


def test_the_heads_are_the_same_in_every_run() -> None:
    assert heads.heads(heads.FROM_SERVER) == heads.heads(heads.FROM_SERVER)


def test_h2load_gets_the_same_targets_and_nine_fields() -> None:
    load = heads.load(heads.FROM_BROWSER)
    assert len(load.targets) == heads.COUNT
    assert len(load.headers) == 9
    assert "Upgrade-Insecure-Requests: 1" in load.headers


@pytest.mark.peers
def test_wrk_sends_the_heads_one_after_the_other(tmp_path: Path) -> None:
    sent = _heads_sent_by_wrk(heads.load(heads.FROM_BROWSER), tmp_path)
    expected = [head.text.encode() for head in heads.heads(heads.FROM_BROWSER)]
    assert len(sent) > 2 * heads.COUNT
    start = expected.index(sent[0])
    for number, head in enumerate(sent):
        assert head == expected[(start + number) % heads.COUNT]


@pytest.mark.peers
def test_wrk_asks_for_one_key_after_the_other(tmp_path: Path) -> None:
    load = heads.keyed_load(heads.FROM_SERVER, "site", ".example.com", keys=10, stride=3)
    parsed = [parse_request(head) for head in _heads_sent_by_wrk(load, tmp_path)]
    keys = [head.host for head in parsed if head is not None]
    assert set(keys) == {b"site%d.example.com" % number for number in range(10)}
    numbers = [int(key.removeprefix(b"site").partition(b".")[0]) for key in keys]
    assert all((after - before) % 10 == 3 for before, after in pairwise(numbers))
    assert len({head.query for head in parsed if head is not None}) > 200


def _heads_sent_by_wrk(load: Load, tmp_path: Path) -> list[bytes]:
    """Return what wrk sends on its one connection in a second."""
    try:
        wrk = find("wrk")
    except MissingError:
        pytest.skip("wrk is not there: `make bench`, as root, installs it")
    script = tmp_path / "load.lua"
    script.write_text(load.script)
    received: list[bytes] = []

    def answer() -> None:
        # wrk tries a connection before it begins, and breaks off at the end.
        while not received:
            client, _peer = listening.accept()
            with client, suppress(ConnectionError):
                rest = b""
                while data := client.recv(65536):
                    *whole, rest = (rest + data).split(b"\r\n\r\n")
                    received.extend(head + b"\r\n\r\n" for head in whole)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * len(whole))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = threading.Thread(target=answer)
        server.start()
        command = [wrk, "-t1", "-c1", "-d1s", "-s", str(script), f"http://127.0.0.1:{port}/"]
        subprocess.run(command, check=True, capture_output=True, timeout=20)
        server.join()
    return received
