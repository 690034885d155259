"""The axes of the table of pairs, and the combinations of their values."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields
from itertools import product

#: What the client speaks: a web server over uwsgi (fastrouter), a browser over HTTP (HTTP router).
FRONTS = ("uwsgi", "http")
#: What the node speaks.
BACKS = ("uwsgi", "http")
#: What follows the head of the request.
BODIES = {
    "none": "nothing",
    "empty": "a body of no bytes, with its Content-Length",
    "length": "a body of Content-Length bytes",
    "chunked": "a chunked body with an extension and a trailer",
    "expect": "the same as length, when a 100 has come",
    "expect-chunked": "the same as chunked, when a 100 has come",
    "expect-raw": "the same as raw, when a 100 has come",
    "expect-source": "the same as source, when a 100 has come",
    "websocket": "an upgrade, and bytes that do not wait for the 101",
    "raw": "bytes without a length (http-raw-body)",
    "source": "Icecast's SOURCE and its bytes (http-manage-source)",
    "rtsp": "RTSP (http-manage-rtsp)",
}
#: The nodes that there are, and what happens to them.
POOLS = {
    "one": "one configured node",
    "two": "two configured nodes",
    "announced": "two announced nodes",
    "none": "a known key whose only node has left",
    "held": "the same with hold: a node announces itself while the request waits",
    "busy": "a node whose backlog is full, and is not any more while the request waits",
    "full": "a node at its connection limit, until the request before has been answered",
    # Values of the rows below the main table.
    "unknown": "a key that nobody has announced",
    "refused": "a node that refuses the connection, then another",
    "other": "an announced node of the other protocol that refuses, then one of this",
    "unanswered": "a node that does not answer the connect, then another",
    "quits": "a node that ends the connection instead of an answer, then another",
    "dies": "a node that ends its kept connection instead of an answer",
    "closes": "a node that closes its kept connection while it is idle",
}
#: What the node says.
ANSWERS = {
    "length": "a body of Content-Length bytes",
    "chunked": "a chunked body",
    "endless": "a body that ends with the connection",
    "head": "the head of an answer to HEAD",
    "204": "204 No Content",
    "304": "304 Not Modified, with the length of what was not modified",
    "early-hints": "103 Early Hints, then a body of Content-Length bytes",
    "forbidden": "403 Forbidden instead of an upgrade",
}
#: The version of an HTTP client; 1.0+ asks to be kept, 1.0- says no Host.
CLIENTS = ("1.1", "1.0", "1.0+", "1.0-")
#: An option of the router.
OPTIONS = ("", "post-buffering", "spooled", "chunked-input", "raw-body", "auto-chunked", "errors")
#: What the client does after its request, or inside it.
ENDS = ("", "half-close", "abort")
#: What is between an HTTP client and the router.
LINKS = ("", "tls")
#: What is between the router and its nodes.
NODE_LINKS = ("", "tls-nodes")


@dataclass(frozen=True)
class Case:
    """One combination."""

    front: str
    back: str
    body: str = "none"
    pool: str = "one"
    answer: str = "length"
    client: str = "1.1"
    option: str = ""
    end: str = ""
    link: str = ""
    node_link: str = ""

    def __str__(self) -> str:
        names = [self.front, self.back, self.body, self.pool]
        more = [one for one in fields(self) if getattr(self, one.name) != one.default][2:]
        names += [getattr(self, one.name) for one in more if one.name not in {"body", "pool"}]
        return "-".join(names)


def combinations(**axes: tuple[str, ...]) -> Iterator[Case]:
    """Each combination of these values."""
    for values in product(*axes.values()):
        yield Case(**dict(zip(axes, values, strict=True)))


MAIN = tuple(
    combinations(
        front=FRONTS,
        back=BACKS,
        body=tuple(body for body in BODIES if body not in {"expect-raw", "expect-source"}),
        pool=("one", "two", "announced", "none", "held", "busy", "full"),
    )
)

_BOTH = {"front": FRONTS, "back": BACKS}
_HTTP = {"front": ("http",), "back": BACKS}
_TLS = {**_HTTP, "link": ("tls",)}
_TLS_NODES = {**_BOTH, "node_link": ("tls-nodes",)}
_COUNTED = ("length", "expect")
_FRAMED = (*_COUNTED, "chunked", "expect-chunked")
_WAITING = ("held", "busy", "full")
_ANSWERS = tuple(answer for answer in ANSWERS if answer != "forbidden")

#: Axis values with which faults were found before, each with those that it can meet.
FURTHER = tuple(
    dict.fromkeys(
        case
        for cases in (
            # A body that is read whole before a node is chosen, in memory and in a file.
            combinations(
                **_BOTH,
                body=("none", *_FRAMED, "websocket", "raw", "source"),
                pool=("one", "two", "none", *_WAITING, "unknown", "refused", "quits"),
                option=("post-buffering",),
            ),
            combinations(
                **_BOTH, body=_FRAMED, pool=("one", "held", "refused"), option=("spooled",)
            ),
            # Bodies that pass as they come.
            combinations(
                **_HTTP,
                body=("length", "chunked", "expect-chunked"),
                pool=("one", "two", "none", *_WAITING, "refused", "quits"),
                option=("chunked-input",),
            ),
            combinations(
                **_HTTP,
                body=(*_FRAMED, "websocket"),
                pool=("one", "two", "held"),
                option=("raw-body",),
            ),
            combinations(**_HTTP, body=("expect-raw", "expect-source"), pool=("one", "held")),
            # Nodes that fail.
            combinations(
                **_BOTH,
                body=tuple(body for body in BODIES if body not in {"expect-raw", "expect-source"}),
                pool=("unknown", "refused", "unanswered", "quits", "dies", "closes"),
            ),
            combinations(
                **_BOTH,
                body=("none", *_FRAMED, "websocket", "raw", "source"),
                pool=("other",),
                option=("", "post-buffering", "chunked-input"),
            ),
            combinations(
                **_BOTH,
                body=("none", "length"),
                pool=("none", "unknown", "quits"),
                option=("errors",),
            ),
            # Clients that end early.
            combinations(
                **_BOTH,
                body=("none", "empty", "length", "chunked", "websocket", "raw", "source", "rtsp"),
                pool=("one", *_WAITING, "refused"),
                option=("", "post-buffering"),
                end=("half-close",),
            ),
            combinations(
                **_BOTH,
                body=("length", "chunked"),
                pool=("one", *_WAITING),
                option=("", "post-buffering", "chunked-input"),
                end=("abort",),
            ),
            # Answers of every framing for clients of every version.
            combinations(
                **_BOTH,
                pool=("one", "full"),
                answer=_ANSWERS,
                client=("1.1", "1.0", "1.0+"),
            ),
            combinations(
                **_BOTH,
                body=("length", "chunked"),
                answer=tuple(answer for answer in _ANSWERS if answer != "head"),
            ),
            combinations(**_BOTH, body=("websocket",), pool=("one", "full"), answer=("forbidden",)),
            combinations(
                **_HTTP,
                body=("none", "length"),
                answer=("chunked", "endless"),
                client=("1.1", "1.0+"),
                option=("auto-chunked",),
            ),
            # Old clients.
            combinations(
                **_HTTP,
                body=("none", *_FRAMED, "websocket", "source"),
                pool=("one", "two"),
                client=("1.0", "1.0+"),
            ),
            combinations(**_BOTH, body=("none", "length"), pool=("one",), client=("1.0-",)),
            # The same over TLS.
            combinations(
                **_TLS,
                body=tuple(body for body in BODIES if body not in {"expect-raw", "expect-source"}),
                pool=("one", *_WAITING, "refused", "quits"),
            ),
            combinations(
                **_TLS, body=_FRAMED, pool=("one", "held"), option=("post-buffering", "spooled")
            ),
            combinations(
                **_TLS,
                body=("none", "length", "chunked", "websocket", "raw", "source"),
                pool=("one", *_WAITING),
                end=("half-close",),
            ),
            combinations(
                **_TLS, body=("length", "chunked"), pool=("one", *_WAITING), end=("abort",)
            ),
            combinations(**_TLS, answer=_ANSWERS, client=("1.1", "1.0", "1.0+")),
            # Nodes that speak TLS, in front of them clients of each kind.
            combinations(
                **_TLS_NODES,
                body=tuple(body for body in BODIES if body not in {"expect-raw", "expect-source"}),
                pool=("one", "two", *_WAITING, "refused", "quits", "dies", "closes"),
            ),
            combinations(
                **_TLS_NODES,
                body=_FRAMED,
                pool=("announced", "unanswered"),
                option=("post-buffering", "spooled", "chunked-input"),
            ),
            combinations(
                **_TLS_NODES,
                body=("none", "length", "chunked", "websocket", "raw", "source"),
                pool=("one", "held", "refused"),
                end=("half-close",),
            ),
            combinations(
                **_TLS_NODES, body=("length", "chunked"), pool=("one", "held"), end=("abort",)
            ),
            combinations(**_TLS_NODES, answer=_ANSWERS, client=("1.1", "1.0", "1.0+")),
            combinations(
                front=("http",),
                back=BACKS,
                body=("none", *_FRAMED, "websocket", "raw", "source"),
                pool=("one", "full", "quits"),
                link=("tls",),
                node_link=("tls-nodes",),
            ),
        )
        for case in cases
    )
)


#: All combinations, also those that make no sense.
TABLE = tuple(dict.fromkeys((*MAIN, *FURTHER)))
#: Values of each axis.
AXES: dict[str, Collection[str]] = {
    "front": FRONTS,
    "back": BACKS,
    "body": BODIES,
    "pool": POOLS,
    "answer": ANSWERS,
    "client": CLIENTS,
    "option": OPTIONS,
    "end": ENDS,
    "link": LINKS,
    "node_link": NODE_LINKS,
}


def senseless(case: Case) -> str:
    """Return why there is nothing to test; "" if there is."""
    return next((why for why, applies in SENSELESS.items() if applies(case)), "")


SENSELESS: dict[str, Callable[[Case], bool]] = {
    "a web server takes chunks apart: its packet says CONTENT_LENGTH": lambda case: (
        case.front == "uwsgi" and case.body in {"chunked", "expect-chunked"}
    ),
    "a web server speaks HTTP only, and makes packets of that": lambda case: (
        case.front == "uwsgi" and case.body in {"source", "rtsp"}
    ),
    "a web server says the same of HTTP/1.0 clients": lambda case: (
        case.front == "uwsgi" and case.client in {"1.0", "1.0+"}
    ),
    "the option belongs to the HTTP router": lambda case: (
        case.front == "uwsgi" and case.option == "chunked-input"
    ),
    "that is what the HTTP router does anyway": lambda case: (
        case.front == "http" and case.option == "errors"
    ),
    "without a node no protocol is spoken: the same as with uwsgi nodes": lambda case: (
        case.pool in {"none", "unknown"} and case.back == "http"
    ),
    "uwsgi nodes have no connection limit: requests wait in their backlog": lambda case: (
        case.pool == "full" and case.back == "uwsgi"
    ),
    "connections to uwsgi nodes are not kept": lambda case: (
        case.pool in {"dies", "closes"} and case.back == "uwsgi"
    ),
    "with http-raw-body no connection of a node is kept": lambda case: (
        case.pool in {"dies", "closes"} and case.front == "http" and case.body == "raw"
    ),
    "chunks of an HTTP/1.0 client are refused, whichever node there is": lambda case: (
        case.client in {"1.0", "1.0+"} and "chunked" in case.body and case.pool == "two"
    ),
    "RTSP is refused for HTTP nodes, whatever becomes of them": lambda case: (
        case.body == "rtsp" and case.back == "http" and case.pool not in {"one", "none"}
    ),
}
