"""What is fuzzed of TLS: the hello that a connection begins with."""

from tests.fuzz.target import Target, outcome
from tests.protocol.tls import hellos
from uwsgi_router.protocol.tls.errors import HelloError
from uwsgi_router.protocol.tls.hello import MAX_HELLO_BYTES, Hello, read_hello


def hello(data: bytes) -> str:
    """The first bytes of a connection: whole, in two pieces, with more behind them, in smaller records."""
    found = _hello_outcome(data)
    cut = len(data) // 2
    early = _hello_outcome(data[:cut])
    if isinstance(found, str):
        assert early is None or isinstance(early, str)
        return found
    if found is None:
        assert early is None
        assert len(data) < MAX_HELLO_BYTES
        return "more"
    assert early is None or early == found
    assert found.size <= len(data)
    assert _hello_outcome(data[: found.size]) == found
    assert _hello_outcome(data[: found.size - 1]) is None
    assert _hello_outcome(data[: found.size] + b"more") == found
    if found.server_name is not None:
        assert found.server_name == found.server_name.lower().strip(".")
        assert not {"", ".."} & set(found.server_name.split("."))
        assert found.server_name.isascii()
        assert "/" not in found.server_name
    return f"accepted {found.server_name is None} {len(found.alpn)} {len(found.versions)}"


def _hello_outcome(data: bytes) -> Hello | str | None:
    try:
        return read_hello(data)
    except HelloError as exc:
        refusal = exc
    assert len(str(refusal)) < 200
    return outcome(refusal)


def recorded_hellos(packet: bytes) -> list[bytes]:
    """Return the recorded hellos, and one with the packet as what nobody knows."""
    made = hellos.message([hellos.server_name(b"a.example"), (0x0A0A, packet)])
    sent = [line.data for line in hellos.recorded()]
    return [*sent, *(hellos.split(data, 200) for data in sent), hellos.records(made, 2000)]


TARGETS = (Target("hello", hello, recorded_hellos),)
