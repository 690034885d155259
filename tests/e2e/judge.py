"""Whether a vector got what it asks for: what the client saw, and what the node saw.

What a vector says in words about the node (``must``) is a function here, of the vector's name.
"""

from collections.abc import Callable, Iterable, Sequence

from tests.e2e.vectors import AFTER, Exchange, Vector
from tests.lab.messages import Message

#: What a node answers; anything else comes from the router.
OF_THE_NODE = frozenset({101, 200, 204, 304})


def judge(vector: Vector, seen: Exchange, at_node: Iterable[Message]) -> list[str]:
    """Return what is wrong; [] if nothing is.

    Args:
        vector: what was sent.
        seen: what the client saw.
        at_node: what the node saw since.
    """
    problems = list(seen.problems)
    whole = [request for request in at_node if request.whole and request.target != AFTER.encode()]
    statuses = seen.statuses
    if statuses in vector.accepted:
        if len(whole) != len(seen.final):
            problems.append(f"{len(seen.final)} answers to {len(whole)} requests at the node")
        problems += _complaints(vector, seen, whole)
    elif len(statuses) <= 1 and (statuses or (0,))[0] in vector.rejected:
        if whole:
            problems.append(f"refused, and {len(whole)} requests at the node: {whole}")
        if any(status in OF_THE_NODE for status in statuses):
            problems.append("a refused request was answered by the node")
    else:
        problems.append(f"answered {statuses}, {seen.ending}")
    return problems


def begun(at_node: Iterable[Message]) -> list[Message]:
    """Return the requests that were begun and not ended, though no vector is a reason for that.

    A body in chunks that turns out bad may have been begun at a node that it is streamed to, and one
    vector ends before its body does. Such a request shows at the node later than the client hears of it.
    """
    return [
        request
        for request in at_node
        if not request.whole and request.framing != "chunked" and request.body != b"abc"
    ]


def _complaints(vector: Vector, seen: Exchange, whole: Sequence[Message]) -> list[str]:
    problems = []
    for request, response in zip(whole, seen.final, strict=False):
        expected = b"%b %b " % (request.method, request.target)
        if response.body and not response.body.startswith(expected):
            problems.append(f"{request.target!r} was answered with {response.body!r}")
        hop = {name for name in HOP_BY_HOP if request.values(name)}
        if request.get("upgrade") == b"websocket":
            hop -= {"upgrade", "connection"}
        if request.framing == "chunked":
            hop -= {"transfer-encoding"}
        if hop:
            problems.append(f"the node was sent {sorted(hop)}")
    if whole and (check := MUST.get(vector.name)):
        problems += [f"must: {text}" for text in check(whole[0])]
    return problems


HOP_BY_HOP = frozenset(
    {"connection", "http2-settings", "keep-alive", "proxy", "proxy-connection"}
    | {"te", "trailer", "transfer-encoding", "upgrade"}
)

Check = Callable[[Message], list[str]]


def _is(what: str, actual: object, expected: object) -> list[str]:
    return [] if actual == expected else [f"{what} is {actual!r}, not {expected!r}"]


def _without(*names: str) -> Check:
    return lambda seen: [
        f"{name}: {seen.values(name)} arrived" for name in names if seen.values(name)
    ]


def _body(seen: Message) -> list[str]:
    return _is("the body", seen.body, b"hello")


def _length(seen: Message) -> bytes | None:
    return seen.variables.get(b"CONTENT_LENGTH") or seen.get("content-length")


def _canonical(seen: Message) -> list[str]:
    return _body(seen) + _is("the length", _length(seen), b"5")


def _same_framing(seen: Message) -> list[str]:
    length = [] if seen.framing == "chunked" else _is("the length", _length(seen), b"5")
    return _body(seen) + _is("Host", seen.get("host"), b"example.com") + length


def _path(expected: str) -> Check:
    return lambda seen: (
        _is("PATH_INFO", seen.variables[b"PATH_INFO"], expected.encode()) if seen.variables else []
    )


def _no_dots(seen: Message) -> list[str]:
    return (
        ["a '..' in PATH_INFO"]
        if b".." in seen.variables.get(b"PATH_INFO", b"").split(b"/")
        else []
    )


def _forwarded_for(seen: Message) -> list[str]:
    chain = [address.strip() for address in (seen.get("x-forwarded-for") or b"").split(b",")]
    return [] if chain in ([b"1.2.3.4"], [b"1.2.3.4", b"127.0.0.1"]) else [f"the chain is {chain}"]


def _absolute(seen: Message) -> list[str]:
    return _path("/")(seen) + _is("Host", seen.get("host"), b"real.example")


MUST: dict[str, Check] = {
    "cl-ows": _body,
    "cl-leading-zeros": _canonical,
    "te-upper": _body,
    "te-underscore": lambda seen: _body(seen) + _without("transfer-encoding")(seen),
    "get-with-cl-body": _body,
    "chunked-ok": _body,
    "chunk-ext": _body,
    "chunk-trailers": lambda seen: _body(seen) + _without("x-check")(seen),
    "chunk-trailer-forbidden": _same_framing,
    "underscore-name": _forwarded_for,
    "proxy-header": _without("proxy"),
    "dup-cookie": lambda seen: _is("Cookie", seen.get("cookie"), b"a=1; b=2"),
    "conn-nominated": _without("x-secret"),
    "absolute-form-no-path": _absolute,
    "options-star": lambda seen: _is("the target", seen.target, b"*"),
    "target-pct-dotdot": _no_dots,
    "target-dotdot": _path("/b"),
    "target-double-slash": _path("//evil.example/x"),
    # The nodes are announced for example.com only: that there is an answer shows the key.
    "host-upper": lambda seen: _is("Host", (seen.get("host") or b"").lower(), b"example.com"),
    "h2c-upgrade": _without("upgrade", "http2-settings"),
}
