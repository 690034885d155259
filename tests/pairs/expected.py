"""What must come of a run, to the byte: the outcome of its combination, with its ports, addresses and ids."""

from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus

from tests.pairs.cases import Case
from tests.pairs.client import Answer, Talk
from tests.pairs.node import Seen
from tests.pairs.result import Facts, NodeCounts, Result
from tests.pairs.rules import (
    STATUS,
    Outcome,
    collected_early,
    has_prelude,
    hears_of_ends,
    never_reuses,
    outcome_of,
)
from tests.pairs.wire import (
    BODY,
    BYE,
    CHUNKS,
    EARLY,
    FAR,
    HELLO,
    LATE,
    Head,
    head_for_node,
    key_of,
    prelude_of,
    request_of,
    said_by,
)

_WHY = {
    "no-node": "no node of this key is up",
    "unknown-key": "no node has announced this key within the last hour",
    "no-answer": "{node} ended the connection without an answer ({end})",
    "cut-short": "{node} sent no whole answer: it ended after a 1xx",
    "rtsp": "RTSP can only be passed on to nodes that speak uwsgi",
    "bad-coding": "HTTP/1.0 with Transfer-Encoding",
}
_PHASES = {"no-answer": "answer", "cut-short": "answer", "rtsp": "connect"}


@dataclass
class _Asked:
    """One request of a run; ``number`` 0 is the one before the first.

    Attributes:
        nodes: that get it, one after the other.
        chosen: the address of the node that was chosen last, "" if none was.
    """

    case: Case
    outcome: Outcome
    number: int
    nodes: tuple[str, ...]
    chosen: str
    talk: Talk


def expected(case: Case, outcome: Outcome, facts: Facts) -> Result:
    """Return what must have come of a case."""
    asked = _asked(case, outcome, facts)
    return Result(
        seen=_seen(asked, facts),
        talks=[_talk(one) for one in asked],
        waiting=["HTTP/1.1 100 Continue"] if outcome.asked_early and outcome.asked else [],
        counted=_counted(asked),
        nodes=_nodes(asked, facts),
        clients=facts.clients,
        left="",
        log=_log(asked, facts),
        access=[] if case.front == "uwsgi" else [_entry(one) for one in asked],
    )


def _asked(case: Case, outcome: Outcome, facts: Facts) -> list[_Asked]:
    talks = list(facts.talks)
    found = []
    if has_prelude(case):
        first = prelude_of(case)
        address = facts.addresses["one"]
        found.append(_Asked(first, outcome_of(first), 0, ("one",), address, talks.pop(0)))
    for number, talk in enumerate(talks, 1):
        nodes, chosen = outcome.nodes[number - 1], outcome.chosen[number - 1]
        address = facts.addresses.get(chosen, "")
        found.append(_Asked(case, outcome, number, nodes, address, talk))
    return found


# --- the nodes ---


def _seen(asked: list[_Asked], facts: Facts) -> list[Seen]:
    found: list[Seen] = []
    last: dict[str, int] = {}
    kept: set[str] = set()
    for one in asked:
        case, outcome = one.case, one.outcome
        head = head_for_node(case, outcome, one.number, facts.port, one.talk.port)
        for name in one.nodes:
            if name not in kept or never_reuses(case):
                last[name] = last.get(name, -1) + 1
            seen = Seen(name, last[name], head, outcome.gets, _body(case, outcome))
            died = name == "quits" or (case.pool == "dies" and not seen.connection)
            hears_end = outcome.gets == "stream"
            hears_end |= case.back == "uwsgi" and hears_of_ends(case)
            seen.ended = case.end == "half-close" and hears_end and not died
            if case.answer == "forbidden" and (case.front, case.back) == ("uwsgi", "uwsgi"):
                # Between two that speak uwsgi all bytes pass as they come.
                seen.surplus = EARLY
            if died and outcome.gets == "stream":
                seen.body = b""
            found.append(seen)
            if outcome.node_kept and not died:
                kept.add(name)
            else:
                kept.discard(name)
        if one.number == 0 and asked[-1].case.pool == "closes":
            kept.clear()
    return found


def _body(case: Case, outcome: Outcome) -> bytes:
    if outcome.gets in {"length", "chunked"}:
        return BODY[:2] if case.end == "abort" else BODY
    early = EARLY if case.end else EARLY + LATE
    return {"stream": early, "as it comes": CHUNKS}.get(outcome.gets, b"")


def _nodes(asked: list[_Asked], facts: Facts) -> dict[str, NodeCounts]:
    case, outcome = asked[-1].case, asked[-1].outcome
    served = Counter(name for one in asked for name in one.nodes)
    found = {}
    for name in facts.addresses:
        counts = found[name] = NodeCounts(*facts.traffic.get(name, (0, 0)), served[name])
        counts.failcnt = int(name == "first")
        # One that was kept before stays so if nobody used it, and need not make room.
        unused = name not in asked[-1].nodes or (case.pool == "dies" and never_reuses(case))
        if name in {"one", "two"}:
            counts.kept = int(asked[0].outcome.node_kept if unused else outcome.node_kept)
    return found


# --- the client ---


def _talk(one: _Asked) -> tuple[list[Answer], str]:
    case, outcome = one.case, one.outcome
    answers = []
    if outcome.asked:
        answers.append(Answer(Head.of("HTTP/1.1 100 Continue")))
    passes = case.back == "uwsgi" if case.front == "uwsgi" else case.client == "1.1"
    if case.answer == "early-hints" and passes and not outcome.reason:
        answers.append(Answer(Head.of("HTTP/1.1 103 Early Hints", ("link", "</style.css>"))))
    if not outcome.reason:
        answers.append(_answer(case, outcome, one.nodes[-1]))
    elif outcome.status:
        answers.append(_page(one))
    return answers, "kept" if outcome.kept else "closed"


def _page(one: _Asked) -> Answer:
    """Return the router's own answer."""
    case, outcome = one.case, one.outcome
    phrase = HTTPStatus(outcome.status).phrase
    # A web server's log may name nodes; what browsers are told may not.
    why = f": {_why(one)}" if case.front == "uwsgi" else ""
    text = f"{outcome.status} {phrase}{why}\nrequest {one.talk.id}\n"
    fields = {
        "content-type": "text/plain; charset=us-ascii",
        "content-length": str(len(text)),
        "cache-control": "no-store",
        "x-uwsgi-router-request": one.talk.id,
        "x-uwsgi-router-reason": outcome.reason,
        "connection": "close",
    }
    if outcome.status == 503:
        fields["retry-after"] = "1"
    framing = "length" if case.front == "http" else "end"
    head = Head.of(f"HTTP/1.1 {outcome.status} {phrase}", *fields.items())
    return Answer(head, framing, text.encode())


def _why(one: _Asked) -> str:
    # A node that dies says no goodbye, which only those that speak uwsgi over TLS never do.
    cut_off = one.case.node_link and one.case.back == "http"
    end = "TLS ended without close_notify" if cut_off else "closed"
    return _WHY[one.outcome.reason].format(node=one.chosen, end=end)


def _answer(case: Case, outcome: Outcome, name: str) -> Answer:
    """Return a node's answer, as the client must read it."""
    fields = {"x-node": name}
    if outcome.framing == "stream":
        return _stream(case, fields)
    statuses = {204: "204 No Content", 304: "304 Not Modified", 403: "403 Forbidden"}
    start = f"HTTP/1.1 {statuses.get(outcome.status, '200 OK')}"
    body = b"" if outcome.framing == "nothing" else name.encode()
    if case.answer not in {"chunked", "endless", "204"}:
        fields["content-length"] = str(len(name))
    if (case.front, case.back, case.answer) == ("uwsgi", "uwsgi", "chunked"):
        # As the node says it.
        fields["transfer-encoding"] = "chunked"
        body = said_by(case, name).body
    if case.front == "http":
        if outcome.framing == "chunked":
            fields["transfer-encoding"] = "chunked"
        if not outcome.kept:
            fields["connection"] = "close"
        elif case.client == "1.0+":
            fields["connection"] = "keep-alive"
    return Answer(Head.of(start, *fields.items()), outcome.framing, body)


def _stream(case: Case, fields: dict[str, str]) -> Answer:
    start = "HTTP/1.0 200 OK"
    if case.body == "websocket":
        start = "HTTP/1.1 101 Switching Protocols"
        fields |= {"connection": "Upgrade", "upgrade": "websocket"}
    elif case.front == "http" and case.body in {"raw", "expect-raw"}:
        # Only what follows the heads is raw.
        start = "HTTP/1.1 200 OK"
        fields["connection"] = "close"
    return Answer(Head.of(start, *fields.items()), "stream", HELLO + BYE)


# --- counters and logs ---


def _counted(asked: list[_Asked]) -> dict[str, int]:
    found = Counter(asked[-1].outcome.counted)
    for one in asked:
        reason = one.outcome.reason
        ends = {"": "completed", "client": "client_aborts"}
        found["requests"] += 1
        found[ends.get(reason, f"failed: {reason}")] += 1
    return dict(found)


def _log(asked: list[_Asked], facts: Facts) -> list[str]:
    found = []
    first = facts.addresses.get("first")
    if first is not None and asked[-1].chosen:
        pool = asked[-1].case.pool
        why = "timeout" if pool == "unanswered" else "Connection refused"
        found.append(f"warning unable to connect to {first} (0 retries): {why}")
        if pool == "other":
            key = key_of(asked[-1].case)
            found.append(f"warning [{key}] marking {first} as failed: a connect failed")
    failed = [one for one in asked if one.outcome.reason not in {"", "client"}]
    return found + [_failure(one) for one in failed]


def _failure(one: _Asked) -> str:
    reason = one.outcome.reason
    phase = _PHASES.get(reason, "request")
    if reason == "no-node" and collected_early(one.case):
        phase = "body"
    key = "" if reason == "bad-coding" else key_of(one.case)
    client = FAR if one.case.front == "uwsgi" else "127.0.0.1"
    return (
        f"warning request {one.talk.id} failed: {STATUS[reason]} {reason}:"
        f" {_why(one)}; phase={phase} key={key} node={one.chosen}"
        f" tries={one.outcome.tries} connect=_s total=_s client={client}"
    )


def _entry(one: _Asked) -> dict[str, object]:
    """Return the line of the access log."""
    case, outcome = one.case, one.outcome
    request = request_of(case, one.number)
    # Of what only looks like HTTP nobody reads the answer.
    unread = outcome.gets == "stream" and never_reuses(case)
    status = 0 if unread and not outcome.reason else outcome.status
    # What was refused for its head is no request.
    known = outcome.reason != "bad-coding"
    return {
        "id": one.talk.id,
        "client": "127.0.0.1",
        "method": request.method if known else "",
        "target": request.target if known else "",
        "protocol": request.protocol if known else "",
        "key": key_of(case) if known else "",
        "status": status,
        "bytes_in": one.talk.sent,
        "bytes_out": one.talk.received,
        "node": one.chosen,
        "tries": outcome.tries,
        "connect": "seconds" if one.nodes else None,
        "first_byte": "seconds" if status else None,
        "reason": outcome.reason or "-",
    }
