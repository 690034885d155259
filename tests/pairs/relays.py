"""Combinations of relays, which pass all bytes of a connection on, and what must come of each.

A raw or SSL router has neither heads nor answers of its own, so its table has other axes than that of requests.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields
from itertools import product

#: What the client speaks: any bytes (rawrouter), or TLS that ends at the router (sslrouter).
FRONTS = ("raw", "ssl")
#: What is between the router and its nodes.
BACKS = ("plain", "tls")
#: Who says what.
TALKS = {
    "ask": "the client asks, the node answers",
    "greet": "the node greets, then the same",
    "bulk": "two megabytes both ways at once",
    "silent": "nobody says anything",
}
#: The nodes that there are, and what happens to them.
POOLS = {
    "one": "one configured node",
    "two": "two configured nodes",
    "announced": "two announced nodes",
    "unknown": "a key that nobody has announced",
    "none": "a known key whose only node has left",
    "held": "the same with hold: a node announces itself while the client waits",
    "busy": "a node whose backlog is full, and is not any more while the client waits",
    "refused": "a node that refuses the connection, then another",
    "unanswered": "a node that does not answer the connect, then another",
    "quits": "a node that ends the connection instead of an answer",
}
#: An option of the router.
OPTIONS = {
    "": "none",
    "send-proxy-1": "nodes are told of the client by a PROXY header",
    "send-proxy-2": "the same in binary",
    "proxy": "clients are behind a proxy, which tells of them",
    "proxy-send": "both",
    "xclient": "nodes are SMTP servers, which are told of the client",
    "sni": "the key is the name that a TLS client asks for",
    "copied": "no pipe: bulk is copied, too",
}
#: Who ends the connection, and how.
ENDS = {
    "client": "the client; the node says goodbye",
    "node": "the node; the client says goodbye",
    "client-resets": "the client, by a reset",
    "node-resets": "the node, by a reset",
}

ASK, ANSWER, BYE = b"a question", b"an answer", b"bye"
GREETING, AGAIN = b"220 mail.example ESMTP\r\n", b"220 hello again\r\n"
BULK = bytes(range(256)) * 8192
#: Talks that only end the connection.
_QUIET = ("ask", "greet", "silent")


@dataclass(frozen=True)
class RelayCase:
    """One combination."""

    front: str
    back: str
    talk: str = "ask"
    pool: str = "one"
    option: str = ""
    end: str = "client"

    def __str__(self) -> str:
        names = [self.front, self.back, self.talk, self.pool]
        more = [one for one in fields(self) if getattr(self, one.name) != one.default]
        return "-".join(
            names + [getattr(self, one.name) for one in more if one.name in {"option", "end"}]
        )


def combinations(**axes: Collection[str]) -> Iterator[RelayCase]:
    """Each combination of these values."""
    for values in product(*axes.values()):
        yield RelayCase(**dict(zip(axes, values, strict=True)))


_BOTH = {"front": FRONTS, "back": BACKS}

#: All combinations, also those that make no sense.
TABLE = tuple(
    dict.fromkeys(
        case
        for cases in (
            combinations(**_BOTH, talk=TALKS, pool=POOLS),
            combinations(**_BOTH, talk=TALKS, end=ENDS),
            combinations(**_BOTH, talk=_QUIET, pool=("refused",), end=ENDS),
            combinations(**_BOTH, talk=TALKS, option=OPTIONS),
            combinations(
                **_BOTH,
                talk=("ask", "greet"),
                pool=("announced", "held", "refused", "unknown"),
                option=("send-proxy-1", "proxy-send", "xclient", "sni"),
            ),
            combinations(
                **_BOTH, talk=("greet",), option=("send-proxy-2", "xclient", "sni"), end=ENDS
            ),
        )
        for case in cases
    )
)
#: Values of each axis.
AXES: dict[str, Collection[str]] = {
    "front": FRONTS,
    "back": BACKS,
    "talk": TALKS,
    "pool": POOLS,
    "option": OPTIONS,
    "end": ENDS,
}

SENSELESS: dict[str, Callable[[RelayCase], bool]] = {
    "the option belongs to the raw router": lambda case: (
        case.front == "ssl" and case.option in {"xclient", "copied"}
    ),
    "an SMTP server speaks first, and not in bulk": lambda case: (
        case.option == "xclient" and case.talk != "greet"
    ),
    "without a node nobody says anything else": lambda case: (
        case.pool in {"unknown", "none"} and case.talk not in {"ask", "silent"}
    ),
    "what is on its way is lost by a reset, and nobody knows how much that is": lambda case: (
        case.talk == "bulk" and case.end.endswith("resets")
    ),
    "who quits says nothing": lambda case: case.pool == "quits" and case.talk != "ask",
    "TLS that is passed through ends at the node, whatever is around it": lambda case: (
        case.front == "raw" and case.option == "sni" and case.back == "tls"
    ),
    "TLS needs a node to shake hands with": lambda case: (
        case.front == "raw" and case.option == "sni" and case.pool == "unknown"
    ),
}


def senseless(case: RelayCase) -> str:
    """Return why there is nothing to test; "" if there is."""
    return next((why for why, applies in SENSELESS.items() if applies(case)), "")


# --- what must come of them ---


@dataclass(frozen=True)
class RelayOutcome:
    """What must come of each connection of a combination.

    Attributes:
        nodes: the node that each connection goes to, in order; "": none.
        node_heard: what it reads, behind what it is told of the client.
        client_heard: what the client reads.
        end: how the connection ends at either side: "closed" or "reset".
        reason: why it failed; "client": the client reset it.
        counted: counters of the router, besides the number of connections and how they ended.
    """

    nodes: tuple[str, ...]
    node_heard: bytes
    client_heard: bytes
    end: str
    reason: str
    counted: Counter[str]


def outcome_of(case: RelayCase) -> RelayOutcome:
    """Return what must come of a combination."""
    nodes = _nodes(case)
    return RelayOutcome(
        nodes=nodes,
        node_heard=_said_by_client(case) + (BYE if case.end == "node" else b""),
        client_heard=_said_by_node(case) if nodes != ("",) else b"",
        end="reset" if case.end.endswith("resets") else "closed",
        reason=_reason(case),
        counted=_counted(case),
    )


def _reason(case: RelayCase) -> str:
    if case.end == "node-resets" and case.talk == "silent":
        # Nothing was lost: another node would do as well, but there is none.
        return "no-answer"
    reasons = {"unknown": "unknown-key", "none": "no-node"}
    ends = {"client-resets": "client", "node-resets": "node-reset"}
    return reasons.get(case.pool) or ends.get(case.end, "")


def _said_by_client(case: RelayCase) -> bytes:
    return {"bulk": BULK, "silent": b""}.get(case.talk, ASK)


def _said_by_node(case: RelayCase) -> bytes:
    if case.pool == "quits":
        return b""
    greeting = b""
    if case.talk == "greet":
        # The one before was the router's.
        greeting = AGAIN if case.option == "xclient" else GREETING
    said = {"bulk": BULK, "silent": b""}.get(case.talk, greeting + ANSWER)
    return said + (BYE if case.end == "client" else b"")


def _nodes(case: RelayCase) -> tuple[str, ...]:
    if case.pool in {"two", "announced"}:
        return ("one", "two", "one", "two")
    return ({"unknown": "", "none": "", "quits": "quits"}.get(case.pool, "one"),)


def _counted(case: RelayCase) -> Counter[str]:
    counted: Counter[str] = Counter()
    if case.pool == "held":
        counted["held"] = 1
    if case.pool in {"refused", "unanswered"}:
        counted["retries"] = 1
    return counted
