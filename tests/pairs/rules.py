"""What must come of a combination: a few rules, from the documentation, and none that looks at the code."""

from collections import Counter
from dataclasses import dataclass

from tests.pairs.cases import Case

#: Bodies whose client waits for a 100.
EXPECTING = frozenset({"expect", "expect-chunked", "expect-raw", "expect-source"})
#: Bodies in chunks.
CHUNKED = frozenset({"chunked", "expect-chunked"})
#: Bodies with a length.
COUNTED = frozenset({"length", "expect"})
#: What comes behind the head is no body of HTTP: both sides talk until both have ended.
STREAMS = frozenset({"websocket", "raw", "source", "rtsp", "expect-raw", "expect-source"})
#: Refused before a node is chosen.
_NO_NODE = frozenset({"no-node", "unknown-key", "bad-coding"})

STATUS = {
    "no-node": 503,
    "unknown-key": 404,
    "no-answer": 502,
    "cut-short": 502,
    "rtsp": 501,
    "bad-coding": 400,
}


@dataclass(frozen=True)
class Outcome:
    """What must come of each request of a combination.

    Attributes:
        nodes: those that get each request, one after the other.
        chosen: the node that was chosen last for each request, whether it got it or not; "" if none was.
        tries: how many nodes were chosen, each time.
        gets: what the node gets behind the head: "nothing", "length", "chunked", "stream", or "as it comes"; "-": it
            gets no request.
        asked: who says 100: "", "router", or "node", whose 100 is passed on.
        asked_early: the router says it while the request still waits.
        status: of the answer; 0: the connection is closed without a word.
        framing: how the client learns where the answer ends: "length", "chunked", "end", "nothing", "stream".
        kept: the client's connection serves another request.
        node_kept: so does the node's.
        reason: why there is no answer of the node; "client": the client left.
        counted: counters of the router, besides the number of requests and how they ended.
    """

    nodes: tuple[tuple[str, ...], ...]
    chosen: tuple[str, ...]
    tries: int
    gets: str
    asked: str
    asked_early: bool
    status: int
    framing: str
    kept: bool
    node_kept: bool
    reason: str
    counted: Counter[str]


def outcome_of(case: Case) -> Outcome:
    """Return what must come of a combination."""
    reason = reason_of(case)
    gets = gets_of(case, reason)
    return Outcome(
        nodes=nodes_of(case, reason),
        chosen=chosen_of(case, reason),
        tries=tries_of(case, reason),
        gets=gets,
        asked=asked_by(case, reason),
        asked_early=collected_early(case) and case.pool in {"busy", "held", "full"},
        status=status_of(case, reason),
        framing=framing_of(case, gets, reason),
        kept=kept_by_client(case, gets, reason),
        node_kept=kept_by_node(case, gets, reason),
        reason=reason,
        counted=counted_of(case, reason),
    )


def reason_of(case: Case) -> str:
    """Return why no node's answer reaches the client; "" if one does."""
    if case.client in {"1.0", "1.0+"} and case.body in CHUNKED:
        return "bad-coding"
    if case.end == "abort":
        return "client"
    if case.pool == "none":
        return "no-node"
    if case.pool == "unknown":
        return "unknown-key"
    if case.body == "rtsp" and case.back == "http":
        return "rtsp"
    if (case.pool == "quits" and not is_sent_again(case)) or (
        case.pool == "dies" and not is_sent_again(case) and not never_reuses(case)
    ):
        # A 100 is no answer, and no end of one.
        return "cut-short" if node_says_continue(case) else "no-answer"
    return ""


def is_stream(case: Case) -> bool:
    """Return True if both sides talk until both have ended."""
    if case.body == "websocket":
        return asks_for_upgrade(case) and case.answer != "forbidden"
    return case.body in STREAMS


def asks_for_upgrade(case: Case) -> bool:
    """Return True for a WebSocket; HTTP/1.0 knows no upgrade (RFC 9110 section 7.8)."""
    return case.body == "websocket" and not case.client.startswith("1.0")


def node_says_continue(case: Case) -> bool:
    """Return True if the node is asked for a 100; of a web server's request nobody waits for it any more."""
    if case.back == "uwsgi" or is_collected(case) or case.client.startswith("1.0"):
        return False
    return case.body in {"expect", "expect-chunked"}


def is_sent_again(case: Case) -> bool:
    """Return True for a request of a safe method, behind whose head no byte was passed to a node.

    Over uwsgi whatever the web server sent behind the packet counts as passed.
    """
    if case.front == "uwsgi":
        return case.body == "none"
    return case.body in {"none", "websocket"} and case.option != "raw-body"


def hears_of_ends(case: Case) -> bool:
    """Return True if a uwsgi node is told of a half-close: inside TLS it would not read that behind a body."""
    return not case.node_link or case.front == "uwsgi" or is_stream(case)


def never_reuses(case: Case) -> bool:
    """Return True for what only looks like HTTP: it gets a new connection."""
    return case.body in {"source", "rtsp", "expect-source"}


def is_collected(case: Case) -> bool:
    """Return True if the body is read whole, which gives a length to one in chunks."""
    if case.option in {"post-buffering", "spooled"}:
        return case.body in CHUNKED | COUNTED
    # For the first node that needs a length; what has been collected stays so for the next.
    needs_length = case.back == "uwsgi" or case.pool == "other"
    passes = case.option in {"chunked-input", "raw-body"}
    return case.body in CHUNKED and needs_length and not passes


def collected_early(case: Case) -> bool:
    """Return True if that happens before it turns out that the request has to wait.

    With post-buffering before a node is chosen; else when one has been chosen, busy or not.
    """
    if case.option in {"post-buffering", "spooled"}:
        return is_collected(case)
    return is_collected(case) and case.pool == "busy"


def gets_of(case: Case, reason: str) -> str:
    """Return what the node gets behind the head."""
    if reason in _NO_NODE or reason == "rtsp":
        return "-"
    if reason == "client" and (is_collected(case) or case.pool in {"held", "busy", "full"}):
        return "-"
    if reason == "client" and case.node_link:
        # It leaves during the handshake with the node, before which nothing is said.
        return "-"
    if case.body in {"raw", "expect-raw"} and case.back == "http":
        # Bytes behind a complete request would be another request.
        return "nothing"
    if is_stream(case):
        return "stream"
    if case.body in {"none", "empty", "websocket"}:
        return "nothing"
    if case.option == "raw-body" and case.body in CHUNKED and case.back == "uwsgi":
        return "as it comes"
    return "chunked" if case.body in CHUNKED and not is_collected(case) else "length"


def asked_by(case: Case, reason: str) -> str:
    """Return who tells a client that waits for it to go on."""
    if case.front == "uwsgi" or case.body not in EXPECTING or case.client.startswith("1.0"):
        # The web server has told its client already; HTTP/1.0 knows no 100.
        return ""
    if reason in {"no-node", "unknown-key", "rtsp"}:
        return "router" if reason == "no-node" and collected_early(case) else ""
    if case.body == "expect-raw" and case.back == "http":
        return ""
    node = case.back == "http" and not is_collected(case) and not never_reuses(case)
    return "node" if node else "router"


def status_of(case: Case, reason: str) -> int:
    """Return the status that the client is told."""
    if reason == "client":
        return 0
    if reason:
        return STATUS[reason] if case.front == "http" or case.option == "errors" else 0
    if case.body == "websocket" and is_stream(case):
        return 101
    if case.answer == "forbidden":
        return 403
    return int(case.answer) if case.answer.isdigit() else 200


def framing_of(case: Case, gets: str, reason: str) -> str:
    """Return how the client learns where the answer ends."""
    if reason:
        return "length"
    if gets == "stream":
        return "stream"
    if case.answer in {"head", "204", "304"}:
        return "nothing"
    if case.front == "uwsgi":
        return "end"
    if case.answer in {"length", "early-hints", "forbidden"}:
        return "length"
    if case.client.startswith("1.0"):
        return "end"
    return "chunked" if case.answer == "chunked" or case.option == "auto-chunked" else "end"


def kept_by_client(case: Case, gets: str, reason: str) -> bool:
    """Return True if the client's connection serves another request."""
    if case.front == "uwsgi" or reason or case.end or gets == "stream":
        return False
    if asks_for_upgrade(case) or case.option == "raw-body":
        return False
    if case.body in STREAMS - {"websocket"}:
        # Nobody knows where the request ends.
        return False
    return case.client in {"1.1", "1.0+"} and framing_of(case, gets, reason) != "end"


def kept_by_node(case: Case, gets: str, reason: str) -> bool:
    """Return True if the node's connection serves another request: of an HTTP node, when all has passed."""
    if case.back == "uwsgi" or gets in {"-", "stream"} or reason or case.answer == "endless":
        return False
    return not (case.front == "http" and (is_stream(case) or case.option == "raw-body"))


def nodes_of(case: Case, reason: str) -> tuple[tuple[str, ...], ...]:
    """Return the nodes that get each request, one after the other."""
    if reason and gets_of(case, reason) == "-":
        return ((),) * requests_of(case)
    if case.pool in {"two", "announced"}:
        return (("one",), ("two",), ("one",), ("two",))
    if case.pool == "quits":
        return (("quits",) if reason else ("quits", "one"),)
    if case.pool == "dies" and not reason and not never_reuses(case):
        return (("one", "one"),)
    return (("one",),)


def chosen_of(case: Case, reason: str) -> tuple[str, ...]:
    """Return the node that was chosen last for each request, whether it got it or not; "" if none was."""
    early = reason == "client" and case.option in {"post-buffering", "spooled"}
    if reason in _NO_NODE or early or (reason == "client" and case.pool == "held"):
        return ("",) * requests_of(case)
    nodes = nodes_of(case, "" if reason in {"client", "rtsp"} else reason)
    return tuple(names[-1] for names in nodes)


def requests_of(case: Case) -> int:
    """Return how many requests a case has: of two nodes each gets two."""
    return 4 if case.pool in {"two", "announced"} else 1


def has_prelude(case: Case) -> bool:
    """Return True if another request comes before the first one."""
    return case.pool in {"full", "dies", "closes"}


def tries_of(case: Case, reason: str) -> int:
    """Return how many nodes were chosen; one that was full or busy counts once."""
    if not chosen_of(case, reason)[0]:
        return 0
    again = case.pool == "quits" and not reason
    return 2 if again or case.pool in {"refused", "other", "unanswered"} else 1


def counted_of(case: Case, reason: str) -> Counter[str]:
    """Return what is counted besides requests and their ends."""
    counted: Counter[str] = Counter()
    early = reason == "client" and is_collected(case)
    if case.pool == "held" and not (early and collected_early(case)):
        counted["held"] = 1
    if case.pool == "full" and not early:
        counted["queued"] = 1
    if case.pool in {"refused", "other", "unanswered"} and reason != "bad-coding":
        counted["retries"] = 1
    if case.pool in {"quits", "dies"} and not reason and not never_reuses(case):
        counted["resent"] = 1
    return counted
