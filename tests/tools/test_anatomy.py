"""Where the time of a request goes: what counting programs write is read, and one scenario is counted."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.programs import ROOT, MeasureError, MissingError, find, free_port
from bench.scenarios.nodes import lean
from bench.scenarios.variants import Variant
from tests.lab.processes import run
from tools.anatomy import functions, instructions, native, syscalls, tables
from tools.anatomy.__main__ import Measuring
from tools.anatomy.chains import CHAINS, running
from tools.anatomy.clients import BODY, CONNECTIONS, Kept, Passing, connect
from tools.anatomy.cpu import Cpu
from tools.anatomy.functions import Function, Layer
from tools.anatomy.native import Instructions, NativeFunction
from tools.anatomy.syscalls import Syscall
from uwsgi_router.protocol.uwsgi import encode_packet

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 61,20    0.004213           5       960           sendto
 30.05    0.002000           2      1281       321 recvfrom
  8.75    0.000600           6       100           epoll_wait
------ ----------- ----------- --------- --------- ------------------
100.00    0.006813           2      2341       321 total
"""
DUMP = """\
# callgrind format
events: Ir
summary: 7

fn=(1) one
3 5000
totals: 5000
"""
COMPILED = """\
# callgrind format
events: Ir
summary: 100

ob=/x/uwsgi_router__mypyc.cpython-311-x86_64-linux-gnu.so
fl=???
fn=CPyDef_walk___Watched___stop
0 30
+3 5
fn=CPyDef_http___connection___serve_HttpConnection_gen_____mypyc_generator_helper__
0 10
cfn=CPyDef_walk___Watched___stop
calls=6 0
0 35
cob=/usr/bin/python3.11
cfn=_Py_Dealloc
calls=2 0
* 20
fn=CPyDef_request____walk_fields'2
0 1
cfn=CPyDef_request____walk_fields
calls=1 0
0 1
ob=/usr/bin/python3.11
fn=_Py_Dealloc
12 20
ob=/x/uvloop/loop.cpython-311-x86_64-linux-gnu.so
fn=(below main)
1 9
ob=/lib/libc.so.6
fn=memcpy
1 4
ob=/lib/ld.so
fn=load
-1 21
totals: 100
"""
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _kept(stack: ExitStack, body: int) -> Kept:
    """Return clients of a node that answers so many bytes."""
    port = free_port()
    lean(stack, "bench.bulk_node", f"127.0.0.1:{port}", "http", str(body))
    return Kept([stack.enter_context(closing(sock)) for sock in connect(port)], [GET])


def test_the_table_of_strace_is_read() -> None:
    assert syscalls.parse(STRACE) == [
        Syscall("recvfrom", 1281, 321),
        Syscall("sendto", 960, 0),
        Syscall("epoll_wait", 100, 0),
    ]
    for other in ("", "strace: Process 7 detached\n", STRACE.partition("100.00")[0][:200]):
        with pytest.raises(MeasureError, match="strace wrote no table that is known"):
            syscalls.parse(other)


def test_the_total_of_a_dump_is_read() -> None:
    assert instructions.total(DUMP) == 5000
    with pytest.raises(MeasureError, match="no line totals:"):
        instructions.total(DUMP.replace("totals", "total"))


def test_a_dump_is_read_by_function_and_by_program_file() -> None:
    found = native.parse(COMPILED)
    assert found.total == instructions.total(COMPILED)
    assert found.functions == [
        NativeFunction("http.connection.serve_HttpConnection (coroutine)", 10, 65, 0),
        NativeFunction("walk.Watched.stop", 35, 35, 6),
        NativeFunction("request._walk_fields", 1, 1, 1),
    ]
    assert found.files == [
        ("compiled packages", 46), ("others", 21), ("interpreter", 20), ("uvloop", 9), ("C library", 4),
    ]  # fmt: skip
    assert native.parse(DUMP) == Instructions(5000, [("others", 5000)], [])


def test_every_function_is_of_a_layer() -> None:
    files = {
        "/tree/uwsgi_router/protocol/http/request.py": "protocol/",
        "/tree/uwsgi_router/router/proxy/pump.py": "router/proxy/",
        "/tree/uwsgi_router/router/net/link.py": "router/net/",
        "/tree/uwsgi_router/router/fronts/http/front.py": "router/fronts/, router/backs/",
        "/tree/uwsgi_router/router/backs/uwsgi.py": "router/fronts/, router/backs/",
        "/tree/uwsgi_router/router/routing/fixed.py": "router/routing/, subscriptions/",
        "/tree/uwsgi_router/subscriptions/pool.py": "router/routing/, subscriptions/",
        "/tree/uwsgi_router/router/core/request.py": "the rest of router/",
        "<string>": "made by dataclasses",
        "<frozen importlib._bootstrap>": "standard library",
        "/usr/lib/python3.11/asyncio/events.py": "standard library",
        # Of somebody else's router, and of a package.
        "/elsewhere/uwsgi_router/router/proxy/pump.py": "standard library",
        "/tree/.venv/lib/python3.11/site-packages/h11/_events.py": "other packages",
    }
    report = [
        {"file": file, "line": number, "name": "f", "calls": 1, "opcodes": 10**number}
        for number, file in enumerate(files)
    ]
    read = functions.read(json.dumps(report), Path("/tree"))
    assert [function.line for function in read] == sorted(range(len(files)), reverse=True)
    assert [function.layer for function in reversed(read)] == list(files.values())
    assert set(files.values()) == set(functions.LAYERS)
    assert read[-1].file == "protocol/http/request.py"

    layers = functions.by_layer(read)
    assert [layer.name for layer in layers] == list(functions.LAYERS)
    assert layers[3] == Layer("router/fronts/, router/backs/", calls=2, opcodes=11_000)
    idle = Function("router/table/gate.py", 1, "f", calls=1, opcodes=0)
    assert functions.by_layer([read[-1], idle]) == [Layer("protocol/", calls=1, opcodes=1)]


def test_clients_that_keep_their_connections(stack: ExitStack) -> None:
    clients = _kept(stack, BODY)
    # Whole rounds, and less than one.
    for count in (2 * CONNECTIONS + 3, 1):
        clients.ask(count)


def test_clients_that_make_a_connection_for_each_request(stack: ExitStack, tmp_path: Path) -> None:
    packet = encode_packet([(b"REQUEST_METHOD", b"GET")])
    path = lean(stack, "bench.node", f"{tmp_path}/node.sock")
    Passing(path, [packet]).ask(CONNECTIONS + 3)
    with pytest.raises(MeasureError, match=r"a request was not answered: .*No such file"):
        Passing(f"{tmp_path}/other.sock", [packet]).ask(1)


def test_clients_do_not_take_another_answer(stack: ExitStack, tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match=r"was answered with b'HTTP/1.1 200 OK.*bytes\)"):
        _kept(stack, BODY + 1).ask(1)
    path = lean(stack, "bench.bulk_node", f"{tmp_path}/node.sock", "uwsgi", str(BODY - 1))
    with pytest.raises(MeasureError, match=r"was answered with b'HTTP/1.1 200 OK"):
        Passing(path, [encode_packet([(b"REQUEST_METHOD", b"GET")])]).ask(1)


def test_the_tables_are_of_one_request() -> None:
    parse = Function("protocol/http/request.py", 9, "parse", calls=200, opcodes=30_000)
    talk = Function("router/proxy/exchange.py", 8, "Session.talk", calls=100, opcodes=10_000)
    found = tables.Anatomy(
        "http",
        "Says what.",
        100,
        Cpu([50.0, 40.0, 45.0], 0.6),
        [Syscall("recvfrom", 300, 50), Syscall("brk", 5, 4), Syscall("read", 4, 4)],
        Instructions(15_000_040, [], []),
        [parse, talk],
    )
    text = tables.section(found, 1, "python -m tools.anatomy http")
    assert "| http | 45.0 | 27.0 | 18.0 | 3.1 | 150,000 | 400 | 3.0 |" in text
    assert "median of 3 batches, 40.0 to 50.0 µs; 60% of it in user space." in text
    assert "| `recvfrom` | 3.00 | 0.50 |\n| `brk` | 0.05 |  |\n\n" in text
    assert "| protocol/ | 300.0 | 75.0% | 2.00 |" in text
    assert "| `parse` | `protocol/http/request.py:9` | 300.0 | 75.0% | 2.00 |" in text
    assert "Session.talk" not in text
    assert text.endswith("Counts: of 100 requests. Again: `python -m tools.anatomy http`\n")

    compiled = tables.Anatomy("http", "Says what.", 10, None, None, native.parse(COMPILED), None)
    text = tables.section(compiled, 2, "again")
    assert "| http | - | - | - | - | 10 | - | - |" in text
    assert "| compiled packages | 5 | 46.0% |" in text
    assert "| `walk.Watched.stop` | 4 | 35.0% | 4 | 0.60 |" in text
    assert "_walk_fields" not in text


def test_what_was_not_measured_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("STRACE", "VALGRIND"):
        monkeypatch.setenv(program, "/nowhere")
    measuring = Measuring("fastrouter", Variant("asyncio"), 37, enough=0.001)
    found = measuring.everything()
    assert measuring.failed == 0  # who has not installed them has not asked for them
    assert found.missing == [
        "Not measured: system calls: strace (looked for /nowhere) is not installed.",
        "Not measured: instructions: valgrind (looked for /nowhere) is not installed.",
    ]
    assert found.cpu
    assert 0 < found.cpu.kernel + found.cpu.user == found.cpu.both < 100_000
    text = tables.section(found, 5, "again")
    assert "\n\n".join(found.missing) in text

    # The requests that were counted, exactly: warming up is not among them.
    assert found.functions
    by_name = {function.name: function for function in found.functions}
    parse = by_name["UwsgiParser.parse"]
    assert (parse.file, parse.calls) == ("router/fronts/uwsgi/parser.py", 37)
    assert {"BaseEventLoop._run_once", "decode_values"} <= by_name.keys()
    # All of what counts, nothing of what is counted with.
    assert not any("anatomy" in function.file for function in found.functions)
    # A dataclass's methods have their class's name.
    assert not any(
        "<locals>" in function.name
        for function in found.functions
        if function.layer == "made by dataclasses"
    )
    shares = {layer.name: layer.opcodes / 37 for layer in functions.by_layer(found.functions)}
    assert 100 < shares["protocol/"] < 5000
    assert 100 < shares["router/proxy/"] < 5000


@pytest.mark.peers
def test_system_calls_are_counted() -> None:
    try:
        find("strace")
    except MissingError as exc:
        pytest.skip(f"{exc} is not there")
    with running(CHAINS["http"], Variant("uvloop")) as chain:
        found = {each.name: each for each in syscalls.measure(chain, 37)}
        chain.clients.ask(1)  # the router is well
    # To the node and to the client, of each request.
    assert found["sendto"] == Syscall("sendto", 2 * 37, 0)


def test_an_unknown_scenario_is_one_sentence() -> None:
    done = run(sys.executable, "-m", "tools.anatomy", "bulk", cwd=ROOT)
    assert done.returncode == 2
    assert "error: no scenario 'bulk'; there are http, http-uwsgi, fastrouter, " in done.stderr
