"""Forwarder ``use-code-string``: a function of the operator's names the nodes (uWSGI: plugins/corerouter/cr_map.c).

It is called once for a request, with the key as it was received, as ``bytes`` (what uWSGI passes on Python 3). What it
may return:

* an address, which may have a scheme, or ``address,modifier1``, as ``str`` or ``bytes``;
* a list or tuple of these, tried in this order;
* ``None``, "" or an empty list: there is no node for this key;
* with ``async def``, or from an awaitable, any of these.

Anything else is refused and logged, and so is an exception; then the fallback nodes stand in.
"""

import asyncio
import inspect
import logging
import traceback
import types
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from uwsgi_router.protocol.bounded import Bounded
from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.protocol.text import show
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import CodeString, RouterConfig
from uwsgi_router.router.core.log import RateLimited
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.routing.base import Forwarder
from uwsgi_router.router.routing.code_file import CodeError, CodeFile, Function
from uwsgi_router.router.routing.code_result import ResultError, parse_node, texts_of
from uwsgi_router.subscriptions.node import Node

log = logging.getLogger("uwsgi-router.code")

# Nodes that were named lately.
_MAX_NODES: Final = 1024
# A function that fails for every request tells so once a minute for each place where it does.
_LINES_PER_SECOND = 1 / 60


@dataclass(frozen=True, slots=True)
class _Answer:
    """Answer of the function to a request.

    Attributes:
        nodes: in the order in which they are tried.
        failed: it gave nothing usable.
    """

    nodes: Sequence[Node] = ()
    failed: bool = False


class CodeForwarder(Forwarder):
    """Forwarder by a function, sync or async.

    Args:
        function: the function, or the file that it is in.
        name: what the log calls it.
        clock: reads the loop's clock, seconds, for all who go by it: the time that the function blocked is not theirs.
        limit: seconds for which it may block the loop before the log says so.
        timeout: seconds after which an ``async`` function is given up.
        reload: look whether the file has changed.
        proto: what nodes speak whose addresses do not say.
    """

    def __init__(
        self,
        function: Function | CodeFile,
        *,
        name: str,
        clock: Callable[[], float],
        limit: float,
        timeout: float,
        reload: bool = False,
        proto: NodeProto = "uwsgi",
    ) -> None:
        super().__init__(
            unknown="the function names no node for this key",
            down="the function that names the nodes has failed",
        )
        self._file = function if isinstance(function, CodeFile) else None
        self._given = None if isinstance(function, CodeFile) else function
        self._name = name
        self._clock = clock
        self._limit = limit
        self._timeout = timeout
        self._reload = reload
        self._proto = proto
        self._nodes: dict[str, Node] = Bounded(_MAX_NODES)
        self._limited = RateLimited(log, per_second=_LINES_PER_SECOND, clock=clock)

    def __repr__(self) -> str:
        return f"<CodeForwarder {self._name}>"

    def for_request(self, request: Request) -> Forwarder:  # noqa: ARG002
        """Return what remembers the function's answer, which is asked once for a request."""
        return _CodeChoice(self)

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:
        """Call the function for this choice alone."""
        return _CodeChoice(self).choose(request, tried, now)

    def call(self, request: Request, now: float) -> "_Answer | Awaitable[object]":
        """Call the function; return the nodes that it names, or an awaitable of them."""
        if self._file is not None and self._reload:
            self._file.refresh(now)
        function = self._given if self._file is None else self._file.function
        assert function is not None
        try:
            result = self._watched(request, lambda: function(request.key))
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever an operator's code may raise
            return self._raised(request, exc)
        return result if inspect.isawaitable(result) else self._answer(request, result)

    async def wait_for(self, request: Request, result: Awaitable[object]) -> "_Answer":
        """Wait for an ``async`` function; return the nodes that it names."""
        deadline = asyncio.timeout(self._timeout)
        try:
            async with deadline:
                found = await self._steps(request, result)
            return self._answer(request, found)
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Something that the function waited for was cancelled; the request was not.
            return self._raised(request, cancelled)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever an operator's code may raise
            if deadline.expired():
                text = "gave no answer within code-timeout=%g s"
                return self._failed(request, "timeout", text, self._timeout)
            return self._raised(request, exc)

    # --- how long it takes ---

    def _watched(self, request: Request, step: Callable[[], Any]) -> Any:
        """Run a step of the function; if it takes too long, log that it blocks the loop."""
        began = self._clock()
        try:
            return step()
        finally:
            took = self._clock() - began
            if took > self._limit:
                self._limited.warning(
                    "blocks",
                    "%s blocked every request for %.3f s (code-limit=%g): key=%s",
                    self._name,
                    took,
                    self._limit,
                    show(request.key),
                )

    @types.coroutine
    def _steps(self, request: Request, awaitable: Awaitable[object]) -> Generator[Any, Any, object]:
        """Await, and watch each step: an ``async`` function may block the loop between two awaits."""
        steps = awaitable.__await__()
        advance: Callable[[], Any] = lambda: next(steps)  # noqa: E731
        while True:
            try:
                waits_for = self._watched(request, advance)
            except StopIteration as stop:
                return stop.value
            try:
                sent = yield waits_for
            except GeneratorExit:
                if isinstance(steps, Generator):
                    steps.close()
                raise
            except BaseException as exc:  # noqa: BLE001 - handed on to the function, it decides
                advance = _throwing(steps, exc)
            else:
                advance = _sending(steps, sent)

    # --- what it returned ---

    def _answer(self, request: Request, result: object) -> _Answer:
        try:
            return _Answer([self._node(text) for text in texts_of(result)])
        except ResultError as exc:
            return self._failed(request, "result", "returned %.200r: %s", result, exc)

    def _node(self, text: str) -> Node:
        node = self._nodes.get(text)
        if node is None:
            node = self._nodes[text] = parse_node(text, self._proto)
        return node

    # --- what went wrong ---

    def _raised(self, request: Request, exc: BaseException) -> _Answer:
        frames = traceback.extract_tb(exc.__traceback__)
        place = (frames[-1].filename, frames[-1].lineno) if frames else None
        self._limited.error(
            (type(exc), place),
            "%s failed: %s: %.200s: key=%s",
            self._name,
            type(exc).__name__,
            exc,
            show(request.key),
            exc_info=exc,
        )
        return _Answer(failed=True)

    def _failed(self, request: Request, cause: str, text: str, *arguments: object) -> _Answer:
        self._limited.error(cause, f"%s {text}: key=%s", self._name, *arguments, show(request.key))
        return _Answer(failed=True)


class _CodeChoice(Forwarder):
    """Choice among the function's nodes for one request.

    Args:
        code: asks the function.
    """

    def __init__(self, code: CodeForwarder) -> None:
        super().__init__(code.unknown, code.down)
        self._code = code
        self._answer: _Answer | None = None
        self._pending: Awaitable[object] | None = None

    def choose(self, request: Request, tried: Collection[Node], now: float) -> Node | None:
        """Return the first node of the function's that was not tried."""
        if self._answer is None and self._pending is None:
            result = self._code.call(request, now)
            if isinstance(result, _Answer):
                self._answer = result
            else:
                self._pending = result
        return None if self._answer is None else _first(self._answer, tried)

    def must_search(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Return True if the function has not answered yet."""
        return self._pending is not None

    async def search(self, request: Request, tried: Collection[Node]) -> Node | None:
        """Wait for the function."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._answer = await self._code.wait_for(request, pending)
        return None if self._answer is None else _first(self._answer, tried)

    def is_known(self, request: Request, now: float) -> bool:  # noqa: ARG002
        """Return True until the function has said that it knows no node for the key."""
        answer = self._answer
        return answer is None or answer.failed or bool(answer.nodes)


def build_code_forwarder(config: RouterConfig, clock: Callable[[], float]) -> CodeForwarder:
    """Load what ``use-code-string`` names, or take the callable that the Python API was given.

    Raises:
        StartError: if the function can't be had.
    """
    code = config.use_code_string
    assert code is not None
    function: Function | CodeFile
    if isinstance(code, CodeString):
        name = f"{code.file}:{code.function}"
        try:
            function = CodeFile(code)
        except CodeError as exc:
            raise StartError(f"{config.kind}-use-code-string = {code}: {exc}") from exc
    else:
        function = code
        name = getattr(code, "__qualname__", None) or repr(code)
    return CodeForwarder(
        function,
        name=name,
        clock=clock,
        limit=config.code_limit,
        timeout=config.code_timeout,
        reload=config.code_reload,
        proto=config.default_proto,
    )


def _first(answer: _Answer, tried: Collection[Node]) -> Node | None:
    """Return the first node that was not tried; one with a slow connect after the others."""
    left = [node for node in answer.nodes if node not in tried]
    return next((node for node in left if not node.connecting_slowly), left[0] if left else None)


def _sending(steps: Any, value: object) -> Callable[[], Any]:
    # Iterators other than generators (a future's, in C) have no send().
    return lambda: next(steps) if value is None else steps.send(value)


def _throwing(steps: Any, exc: BaseException) -> Callable[[], Any]:
    def step() -> Any:
        if not hasattr(steps, "throw"):
            raise exc
        return steps.throw(exc)

    return step
