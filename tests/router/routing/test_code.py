"""Forwarder ``use-code-string``: uWSGI's results, and ours beyond them."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.clients import Peer
from tests.lab.clock import Clock
from tests.lab.lab import Lab
from tests.lab.log import Log
from tests.lab.messages import OK, request
from tests.lab.scripts import answers_with_its_request
from tests.router.routing.requests import asking
from uwsgi_router.protocol.address import InetAddress
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import CodeString, RouterConfig
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.router.routing.code import CodeForwarder, build_code_forwarder
from uwsgi_router.router.routing.code_file import PREFIX, CodeError, CodeFile
from uwsgi_router.router.routing.code_result import ResultError, parse_node, texts_of
from uwsgi_router.subscriptions.node import Node


class Coded:
    """A forwarder over a function."""

    def __init__(self, function: Any, **options: Any) -> None:
        self.clock = Clock()
        settings: dict[str, Any] = {"name": "f", "limit": 0.1, "timeout": 5.0} | options
        self.forwarder = CodeForwarder(function, clock=self.clock, **settings)
        self._choices: dict[Request, Forwarder] = {}

    def of(self, asked: Request) -> Forwarder:
        """What chooses for a request, all its attempts."""
        return self._choices.setdefault(asked, self.forwarder.for_request(asked))

    def choose(self, asked: Request | str = "key", tried: tuple[Node, ...] = ()) -> Node | None:
        asked = asking(asked) if isinstance(asked, str) else asked
        return self.of(asked).choose(asked, tried, self.clock.now)

    def name(self, key: str = "key") -> str | None:
        node = self.choose(key)
        assert isinstance(node, Node | None)
        return None if node is None else node.name

    async def later(self, asked: Request | str = "key") -> Node | None:
        asked = asking(asked) if isinstance(asked, str) else asked
        assert self.choose(asked) is None
        assert self.of(asked).must_search(asked, self.clock.now)
        return await self.of(asked).search(asked, ())


@pytest.fixture(autouse=True)
def no_traces() -> Any:
    """What operators' files leave in the interpreter is gone after each test."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith((PREFIX, "mappers", "beside")):
            del sys.modules[name]


# --- the row "called with one positional argument, the key" ---


def test_the_key_comes_as_bytes_as_it_was_received() -> None:
    keys: list[object] = []
    Coded(keys.append).choose("Example.com:8080")
    assert keys == [b"Example.com:8080"]


# --- the row "result" ---


@pytest.mark.parametrize("result", ["127.0.0.1:3031", b"127.0.0.1:3031", b"127.0.0.1:3031\n"])
def test_an_address_may_be_str_or_bytes(result: object) -> None:
    node = Coded(lambda _key: result).choose()
    assert isinstance(node, Node)
    assert (node.name, node.address) == ("127.0.0.1:3031", InetAddress("127.0.0.1", 3031))
    assert (node.modifier1, node.modifier2) == (0, 0)


@pytest.mark.parametrize("modifier", ["0", "5", "255"])
def test_a_modifier_follows_the_comma(modifier: str) -> None:
    node = Coded(lambda _key: f"/run/app.sock,{modifier}").choose()
    assert isinstance(node, Node)
    assert (node.name, node.modifier1) == ("/run/app.sock", int(modifier))


@pytest.mark.parametrize("result", [None, "", b"", [], ()])
def test_nothing_means_that_there_is_no_node(result: object, log: Log) -> None:
    coded, asked = Coded(lambda _key: result), asking("key")
    assert coded.of(asked).is_known(asked, 0.0)
    assert coded.choose(asked) is None
    assert not coded.of(asked).is_known(asked, 0.0)
    assert log.lines == []


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_list_is_tried_in_order_and_the_function_asked_only_once(
    kind: Callable[[list[str]], object],
) -> None:
    calls: list[bytes] = []

    def choose(key: bytes) -> object:
        calls.append(key)
        return kind(["/a", "/b,7"])

    coded, asked = Coded(choose), asking("key")
    first = coded.choose(asked)
    assert isinstance(first, Node)
    second = coded.choose(asked, (first,))
    assert isinstance(second, Node)
    assert [first.name, second.name, second.modifier1] == ["/a", "/b", 7]
    assert coded.choose(asked, (first, second)) is None
    assert len(calls) == 1


def test_a_node_that_is_being_waited_for_comes_after_the_others() -> None:
    coded = Coded(lambda _key: ["/a", "/b"])
    hanging = coded.choose()
    assert isinstance(hanging, Node)
    hanging.connect_started()
    hanging.connect_slow()
    assert coded.name() == "/b"
    hanging.connected()
    assert coded.name() == "/a"


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (5, "not int"),
        (["/a", None], "not NoneType"),
        (["/a", ["/b"]], "not list"),
        ({"/a"}, "not set"),
        ("no.port:", "is no address"),
        ("127.0.0.1:0", "is no address"),
        ("a b:1", "is no address"),
        (" ", "is no address"),
        ([""], "is no address"),
        ("/a\0b", "is no address"),
        ("127.0.0.1:1,256", "not a number from 0 to 255"),
        ("127.0.0.1:1,5,7", "not a number from 0 to 255"),
        ("127.0.0.1:1,", "not a number from 0 to 255"),
        ("127.0.0.1:1,00000999", "not a number from 0 to 255"),
        ("/a|/b", "a list instead"),
    ],
)
def test_any_other_result_is_refused_and_logged_with_the_key(
    result: object, said: str, log: Log
) -> None:
    coded, asked = Coded(lambda _key: result), asking("the-key")
    assert coded.choose(asked) is None
    (line,) = log.lines
    assert line.startswith("error f returned ")
    assert said in line
    assert "key=the-key" in line
    # Not "unknown": the fallback nodes stand in.
    assert coded.forwarder.has_nodes(asked, 0.0)


RESULTS = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(), st.binary(), st.sampled_from([":1", "/a,5"])),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(RESULTS)
def test_whatever_is_returned_names_nodes_or_is_refused(result: object) -> None:
    try:
        nodes = [parse_node(text, "uwsgi") for text in texts_of(result)]
    except ResultError:
        return
    assert all(0 <= node.modifier1 <= 255 for node in nodes)


def test_the_nodes_that_were_named_do_not_pile_up() -> None:
    coded = Coded(lambda key: f"/run/{key.decode()}")
    for number in range(3000):
        assert coded.name(str(number)) == f"/run/{number}"
    assert len(coded.forwarder._nodes) <= 1024


# --- the row "exceptions" ---


def test_an_exception_is_logged_with_key_and_traceback_once_for_each_cause(log: Log) -> None:
    def fails(key: bytes) -> str:
        if key == b"other":
            raise SystemExit("bye")
        raise ValueError(key)

    coded = Coded(fails)
    for key in ("a", "b", "c", "other"):
        assert coded.name(key) is None
    value, system = log.lines
    assert "f failed: ValueError: b'a': key=a" in value
    assert "Traceback" in value
    assert "SystemExit: bye: key=other" in system
    coded.clock.now += 61
    assert coded.name("d") is None
    assert "key=d (and 2 more like it)" in log.lines[2]


# --- the row "runs synchronously in the event loop" ---


def test_a_function_that_blocks_is_named(log: Log) -> None:
    def slow(_key: bytes) -> str:
        coded.clock.now += 0.2
        return "/a"

    coded = Coded(slow)
    assert coded.name("k") == "/a"
    assert log.lines == ["warning f blocked every request for 0.200 s (code-limit=0.1): key=k"]


def test_a_quick_one_is_not(log: Log) -> None:
    def quick(_key: bytes) -> str:
        coded.clock.now += 0.05
        return "/a"

    coded = Coded(quick)
    coded.name()
    assert log.lines == []


# --- the row "ours: sync or async" ---


async def test_an_async_function_is_awaited() -> None:
    async def choose(key: bytes) -> list[str]:
        await asyncio.sleep(0)
        return [f"/{key.decode()}", "/b"]

    coded, asked = Coded(choose), asking("key")
    node = await coded.later(asked)
    assert node is not None
    assert node.name == "/key"
    second = coded.choose(asked, (node,))
    assert isinstance(second, Node)
    assert second.name == "/b"


async def test_a_future_is_awaited_too() -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_result("/a")
    node = await Coded(lambda _key: future).later()
    assert node is not None
    assert node.name == "/a"


async def test_an_async_function_is_watched_between_its_awaits(log: Log) -> None:
    async def choose(_key: bytes) -> None:
        await asyncio.sleep(0)
        coded.clock.now += 1
        await asyncio.sleep(0)

    coded = Coded(choose)
    assert await coded.later() is None
    assert log.lines == ["warning f blocked every request for 1.000 s (code-limit=0.1): key=key"]


async def test_an_async_function_has_a_deadline(log: Log) -> None:
    cleaned_up = False

    async def hangs(_key: bytes) -> None:
        nonlocal cleaned_up
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up = True

    asked = asking("key")
    coded = Coded(hangs, timeout=0.01)
    assert await coded.later(asked) is None
    assert cleaned_up
    assert log.lines == ["error f gave no answer within code-timeout=0.01 s: key=key"]
    assert coded.of(asked).is_known(asked, 0.0)


async def test_an_exception_of_an_async_function(log: Log) -> None:
    async def fails(_key: bytes) -> None:
        await asyncio.sleep(0)
        raise TimeoutError("its own")

    assert await Coded(fails).later() is None
    (line,) = log.lines
    assert "f failed: TimeoutError: its own: key=key" in line


async def test_something_it_waited_for_was_cancelled(log: Log) -> None:
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    assert await Coded(lambda _key: future).later() is None
    assert "f failed: CancelledError" in log.lines[0]


async def test_when_the_request_is_cancelled_so_is_the_function() -> None:
    started, ended = asyncio.Event(), False

    async def hangs(_key: bytes) -> None:
        nonlocal ended
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    task = asyncio.get_running_loop().create_task(Coded(hangs).later())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


# --- the row "FILE": found, and loaded under a name of its own ---


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", ["router.py", "protocol.py", "json.py", "my-mapper.py"])
def test_the_file_may_have_any_name(name: str, tmp_path: Path) -> None:
    before = {key: module for key, module in sys.modules.items() if not key.startswith(PREFIX)}
    file = write(tmp_path / name, "def f(key): return '/a'")
    assert CodeFile(CodeString(file, "f")).function(b"key") == "/a"
    assert {key: sys.modules[key] for key in before} == before
    assert all(key.startswith(PREFIX) for key in set(sys.modules) - set(before))


def test_a_path_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "sub" / "mapper.py", "def f(key): return '/a'")
    monkeypatch.chdir(tmp_path)
    assert CodeFile(CodeString("sub/mapper.py", "f")).function(b"") == "/a"


def test_it_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "beside_it.py", "ADDRESS = '/beside'")
    file = write(
        tmp_path / "mapper.py", "from beside_it import ADDRESS\ndef f(key): return ADDRESS"
    )
    assert CodeFile(CodeString(file, "f")).function(b"") == "/beside"


def test_a_dotted_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mappers" / "__init__.py", "")
    write(tmp_path / "mappers" / "table.py", "ADDRESS = '/a'")
    write(
        tmp_path / "mappers" / "by_host.py",
        "from .table import ADDRESS\ndef f(key): return ADDRESS",
    )
    monkeypatch.chdir(tmp_path)
    assert CodeFile(CodeString("mappers.by_host", "f")).function(b"") == "/a"


def test_a_module_called_like_a_part_of_ours_is_the_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "router.py", "def f(key): return '/operator'")
    monkeypatch.chdir(tmp_path)
    before = sys.modules.get("router")
    assert CodeFile(CodeString("router", "f")).function(b"") == "/operator"
    assert sys.modules.get("router") is before


def test_dataclasses_work_in_it(tmp_path: Path) -> None:
    text = """
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Table:
    address: str
def f(key): return Table("/a").address
"""
    assert CodeFile(CodeString(write(tmp_path / "m.py", text), "f")).function(b"") == "/a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(key) return 1", "m.py:1: expected ':'"),
        ("\nx = 1 / 0", "m.py:2: ZeroDivisionError: division by zero"),
        ("import no_such_module_x", "m.py:1: ModuleNotFoundError: No module named"),
        ("raise SystemExit('no')", "m.py:1: SystemExit: no"),
        ("\0", "m.py"),
        ("g = 1", "has no function f"),
        ("f = 1", "f in {file} is no function but int"),
        ("def f(): pass", "takes (), but it is called with one argument, the key"),
        ("def f(a, b): pass", "takes (a, b), but"),
        (None, "m.py: No such file or directory"),
    ],
)
def test_a_broken_file_is_a_start_error_with_its_place(
    text: str | None, said: str, tmp_path: Path
) -> None:
    file = str(tmp_path / "m.py")
    if text is not None:
        write(tmp_path / "m.py", text)
    code = CodeString(file, "f")
    with pytest.raises(StartError) as caught:
        build_code_forwarder(RouterConfig(use_code_string=code), Clock())
    message = str(caught.value)
    assert message.startswith(f"fastrouter-use-code-string = 0:{file}:f: ")
    assert said.format(file=file) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("mapper", "there is no module mapper in "),
        ("mapper", "give its path, with .py: mapper.py"),
        ("no_such_x.mapper", "No module named 'no_such_x'"),
        ("_ctypes", "only Python source"),
    ],
)
def test_a_module_that_cannot_be_had(
    module: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CodeError) as caught:
        CodeFile(CodeString(module, "f"))
    assert said in str(caught.value)


def test_a_name_without_its_extension_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mapper", "def f(key): return '/a'")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CodeError, match=r"give its path: \./mapper"):
        CodeFile(CodeString("mapper", "f"))


# --- reloading ---


class Edited:
    """A file that a test changes."""

    def __init__(self, tmp_path: Path, *, reload: bool = True) -> None:
        self.path = tmp_path / "mapper.py"
        self._version = 0
        self.save("/1")
        self.coded = Coded(CodeFile(CodeString(str(self.path), "f")), reload=reload)

    def save(self, address: str, text: str = "def f(key): return {!r}") -> None:
        write(self.path, text.format(address))
        self._version += 1
        os.utime(self.path, ns=(self._version, self._version))

    def name(self, after: float = 2.0) -> str | None:
        self.coded.clock.now += after
        return self.coded.name()


def test_a_changed_file_is_loaded_again(tmp_path: Path, log: Log) -> None:
    edited = Edited(tmp_path)
    assert edited.name() == "/1"
    edited.save("/2")
    assert edited.name() == "/2"
    assert log.lines == [f"info {edited.path} has changed and was loaded again"]


def test_the_file_is_looked_at_once_a_second(tmp_path: Path) -> None:
    edited = Edited(tmp_path)
    assert edited.name() == "/1"
    edited.save("/2")
    assert edited.name(0.5) == "/1"
    assert edited.name(0.6) == "/2"


def test_without_code_reload_it_is_not(tmp_path: Path) -> None:
    edited = Edited(tmp_path, reload=False)
    edited.save("/2")
    assert edited.name() == "/1"


def test_a_broken_new_version_keeps_the_old_one_and_says_so_once(tmp_path: Path, log: Log) -> None:
    edited = Edited(tmp_path)
    edited.save("", "def f(key) return 1")
    assert [edited.name(), edited.name()] == ["/1", "/1"]
    (line,) = log.lines
    assert "can't be used, the version before it stays: " in line
    assert "mapper.py:1: expected ':'" in line
    edited.path.unlink()
    assert edited.name() == "/1"
    edited.save("/3")
    assert edited.name() == "/3"


# --- in the router ---


async def test_the_answer_comes_from_the_node_that_the_function_names(lab: Lab) -> None:
    node = lab.node(answers_with_its_request())
    router = await lab.router(use_code_string=lambda _key: f"{node.address},5")
    answer = await lab.ask(router)
    assert answer[0] == 5
    assert answer[3] == 0


async def test_the_time_that_the_function_takes_is_not_the_nodes(lab: Lab) -> None:
    """Everybody waits while it runs; then the node has its whole time."""

    def choose(_key: bytes) -> str:
        time.sleep(0.3)
        return node.address

    async def answers_late(peer: Peer) -> None:
        await peer.packet()
        await asyncio.sleep(0.1)
        await peer.send(OK)

    node = lab.node(answers_late)
    router = await lab.router(use_code_string=choose, timeout=0.25)
    assert await lab.ask(router) == OK


async def test_retries_go_down_the_list_of_one_call(lab: Lab) -> None:
    calls: list[bytes] = []
    addresses = [lab.refused_tcp(), lab.missing_unix(), lab.node().address]

    async def choose(key: bytes) -> list[str]:
        calls.append(key)
        await asyncio.sleep(0)
        return addresses

    router = await lab.router(use_code_string=choose)
    assert await lab.ask(router) == OK
    assert calls == [b"example.com"]


@pytest.mark.parametrize("is_async", [False, True])
async def test_nothing_is_an_unknown_key(is_async: bool, lab: Lab) -> None:
    async def later(_key: bytes) -> None:
        pass

    function = later if is_async else lambda _key: None
    router = await lab.router(use_code_string=function, errors="http")
    assert (await lab.ask(router)).startswith(b"HTTP/1.1 404 ")
    assert lab.log.having("names no node for this key")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("fails", [False, True])
async def test_fallbacks_stand_in_for_a_function_that_fails_or_for_unknown_keys_if_asked(
    fails: bool, is_async: bool, lab: Lab
) -> None:
    def choose(_key: bytes) -> None:
        if fails:
            raise ValueError

    async def later(key: bytes) -> None:
        choose(key)

    router = await lab.router(
        use_code_string=later if is_async else choose,
        fallback=(lab.node().address,),
        fallback_on_no_key=not fails,
    )
    assert await lab.ask(router) == OK


async def test_a_function_that_fails_is_no_unknown_key(lab: Lab) -> None:
    def choose(_key: bytes) -> None:
        raise ValueError

    router = await lab.router(use_code_string=choose, errors="http")
    assert (await lab.ask(router)).startswith(b"HTTP/1.1 503 ")
    assert lab.log.having("the function that names the nodes has failed")


async def test_other_requests_go_on_while_an_async_function_waits(lab: Lab) -> None:
    node, asked, go = lab.node(), asyncio.Event(), asyncio.Event()

    async def choose(key: bytes) -> str:
        if key == b"slow.example":
            asked.set()
            await go.wait()
        return node.address

    router = await lab.router(use_code_string=choose)
    waiting = await lab.open(router, request(host="slow.example"))
    await asked.wait()
    assert await lab.ask(router) == OK
    go.set()
    assert await waiting.rest() == OK
