"""State of the table as a file, for the next run of the router: one JSON object a line.

    {"format": "uwsgi-router state", "version": 1, "saved": 1795231304}
    {"table": "127.0.0.1:3032", "signed": false}
    {"key": "example.com", "address": "10.0.0.1:3031", "source": "10.0.0.1", "weight": 2}
    {"known": "old.example", "since": 1795230000}
    {"signer": "example.com.pem", "key": "example.com", "address": "10.0.0.1:3031", "floor": 1795231300}
    {"end": 4}

A table's nodes, the keys that it lately had, and the signed times that were used follow it; ``end``
counts the lines between it and the first. What a node's line does not say is as in a datagram that
does not say it. Times are seconds since the epoch. Bytes are UTF-8; what is not, is kept by surrogates.

Written and read by the same program, and still read as what strangers sent: a line is right in every
respect, or the file is refused.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast, get_args

from uwsgi_router.protocol.key import key_fault
from uwsgi_router.protocol.subscription import MAX_WEIGHT, Proto, Subscription, SubscriptionError
from uwsgi_router.protocol.text import to_bytes, to_text
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.node_address import ip_of
from uwsgi_router.subscriptions.registry import Registry
from uwsgi_router.subscriptions.replay import HISTORY, MAX_AHEAD, ReplayMemory, Used
from uwsgi_router.subscriptions.sender import Credentials

FORMAT: Final = "uwsgi-router state"
VERSION: Final = 1
#: A table of 100,000 nodes has some 10 to 30 MB.
MAX_SIZE: Final = 256 * 1024 * 1024

_NUMBERS: Final = ("modifier1", "modifier2", "cores", "load", "weight", "backup")
_BYTES: Final = ("vassal", "sni_key", "sni_crt", "sni_ca")


class StateError(ValueError):
    """Error: the file is not one of ours, or not whole; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class SavedNode:
    """Saved node: one that was in the table.

    Attributes:
        subscription: what it said, with the address that it had in the table.
        source: the IP address that it said it from, None over a UNIX socket.
        credentials: of the process that said it, None if nobody vouched for it.
        stale: no announce for longer than the tolerance.
        drained: the operator wanted it to get no requests.
        set_weight: what the operator set; None: nothing.
    """

    subscription: Subscription
    source: str | None
    credentials: Credentials | None
    stale: bool
    drained: bool = False
    set_weight: int | None = None


@dataclass(frozen=True, slots=True)
class SavedTable:
    """Saved table.

    Attributes:
        name: its first subscription server.
        signed: announces had to be signed.
        nodes: in the order of their first announces, key by key.
        known: keys without nodes: key, when it lost the last one (epoch), whose that was.
        used: signed times that were used.
    """

    name: str
    signed: bool
    nodes: list[SavedNode] = field(default_factory=list)
    known: list[tuple[bytes, float, int | None]] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Saved:
    """Saved state, a whole file: ``saved`` is when it was written (epoch)."""

    saved: float
    tables: list[SavedTable]


# --- Writing ---

_encode = json.JSONEncoder(separators=(",", ":")).encode


def lines_of(
    tables: Mapping[str, tuple[Registry, ReplayMemory | None]], *, now: float, wall: float
) -> Iterator[bytes]:
    """Make the file, line by line; the tables may change between two lines.

    Args:
        tables: by name: the table, and the signed times that were used if announces must be signed.
        now: the time.
        wall: the same moment as an epoch.
    """
    count = 0
    yield _line({"format": FORMAT, "version": VERSION, "saved": round(wall)})
    for name, (registry, used_times) in tables.items():
        yield _line({"table": name, "signed": used_times is not None})
        count += 1
        for members in _members(registry, wall - now, wall):
            yield _line(members)
            count += 1
        for used in used_times.items() if used_times is not None else ():
            yield _line(_used(used))
            count += 1
    yield _line({"end": count})


def _line(members: Mapping[str, Any]) -> bytes:
    return _encode(members).encode("ascii") + b"\n"


def _members(registry: Registry, epoch: float, wall: float) -> Iterator[dict[str, Any]]:
    for pool in list(registry.pools.values()):
        nodes = [node for node in pool.nodes if not node.death_mark or node.stale]
        for node in nodes:
            yield _node(node, pool.algorithm)
        if not nodes:
            yield {"known": to_text(pool.key), "since": round(wall)}
    for key, since, owner in registry.remembered():
        known: dict[str, Any] = {"known": to_text(key), "since": round(epoch + since)}
        if owner is not None:
            known["owner"] = owner
        yield known


def _node(node: SubscribedNode, algorithm: str) -> dict[str, Any]:
    members: dict[str, Any] = {"key": to_text(node.key), "address": node.name, "algo": algorithm}
    for name in _NUMBERS:
        number = getattr(node, "announced_weight" if name == "weight" else name)
        if number != (name == "weight"):
            members[name] = number
    if node.proto != "uwsgi":
        members["proto"] = node.proto
    if node.vassal is not None:
        members["vassal"] = to_text(node.vassal)
    if node.via:
        members["via"] = [to_text(router) for router in node.via]
    if node.sni is not None:
        members["sni_key"], members["sni_crt"] = to_text(node.sni.key), to_text(node.sni.crt)
        if node.sni.ca is not None:
            members["sni_ca"] = "!" * node.sni.ca_required + to_text(node.sni.ca)
    if node.source is not None:
        members["source"] = node.source
    if node.credentials is not None:
        members["pid"] = node.credentials.pid
        members["uid"] = node.credentials.uid
        members["gid"] = node.credentials.gid
    if node.stale:
        members["silent"] = True
    if node.drained:
        members["drained"] = True
    if node.set_weight is not None:
        members["set_weight"] = node.set_weight
    return members


def _used(used: Used) -> dict[str, Any]:
    members: dict[str, Any] = {"signer": used.signer, "floor": used.floor}
    if used.node is not None:
        members["key"], members["address"] = to_text(used.node[0]), used.node[1]
    if used.hole is not None:
        members["hole"] = used.hole
    if used.recent:
        members["recent"] = f"{used.recent:x}"
    if used.ahead:
        members["ahead"] = used.ahead
    return members


# --- Reading ---


def parse(data: bytes) -> Saved:
    """Read a file.

    Raises:
        StateError: with the first thing that is wrong.
    """
    lines = data.split(b"\n")
    if lines.pop():
        raise StateError("its last line has no end")
    if len(lines) < 2:
        raise StateError("it is empty")
    head = _object(1, lines[0])
    if head.get("format") != FORMAT or head.get("version") != VERSION:
        raise StateError("it is no state of this version of uwsgi-router")
    tables: list[SavedTable] = []
    for number, line in enumerate(lines[1:-1], 2):
        members = _object(number, line)
        try:
            if "table" in members:
                tables.append(SavedTable(_string(members, "table"), _switch(members, "signed")))
            elif not tables:
                raise StateError("it belongs to no table")
            elif "signer" not in members and _is_unfit(members):
                continue  # Earlier versions took keys that no request can have.
            elif "known" in members:
                tables[-1].known.append(_read_known(members))
            elif "signer" in members:
                tables[-1].used.append(_read_used(members))
            else:
                tables[-1].nodes.append(_read_node(members))
        except (StateError, SubscriptionError) as exc:
            raise StateError(f"line {number}: {exc}") from None
    if _object(len(lines), lines[-1]).get("end") != len(lines) - 2:
        raise StateError("it is not whole")
    return Saved(_number(head, "saved"), tables)


def _is_unfit(members: Mapping[str, Any]) -> bool:
    """Return True if the node or key of a line could not be announced today, because of its key."""
    name = "known" if "known" in members else "key"
    key = _raw(members, name)
    return bool(key) and key_fault(key) is not None


def _object(number: int, line: bytes) -> dict[str, Any]:
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):
        raise StateError(f"line {number} is not JSON") from None
    if not isinstance(members, dict):
        raise StateError(f"line {number} is no object")
    return members


def _read_known(members: Mapping[str, Any]) -> tuple[bytes, float, int | None]:
    owner = _number(members, "owner") if "owner" in members else None
    key = _raw(members, "known")
    # For its checks: a key is what could be announced.
    key = Subscription("subscribe", key, "/").key
    return key, float(_number(members, "since")), owner


def _read_used(members: Mapping[str, Any]) -> Used:
    return Used(
        _string(members, "signer"),
        (_raw(members, "key"), _string(members, "address")) if "key" in members else None,
        _number(members, "floor"),
        _number(members, "hole") if "hole" in members else None,
        _read_recent(members) if "recent" in members else 0,
        _read_ahead(members) if "ahead" in members else (),
    )


def _read_recent(members: Mapping[str, Any]) -> int:
    text = _string(members, "recent")
    if not 0 < len(text) <= HISTORY // 4 or text.strip("0123456789abcdef"):
        raise StateError("recent is no history")
    return int(text, 16)


def _read_ahead(members: Mapping[str, Any]) -> tuple[int, ...]:
    times = members["ahead"]
    if not isinstance(times, list) or len(times) > MAX_AHEAD:
        raise StateError("ahead is no list of times")
    return tuple(_number({"ahead": time}, "ahead") for time in times)


def _read_node(members: Mapping[str, Any]) -> SavedNode:
    proto = _string(members, "proto") if "proto" in members else "uwsgi"
    if proto not in get_args(Proto):
        raise StateError(f"proto {proto[:24]!r} is unknown")
    via = members.get("via", [])
    if not isinstance(via, list) or not all(isinstance(router, str) for router in via):
        raise StateError("via is no list of texts")
    given: dict[str, Any] = {
        **{name: _number(members, name) for name in _NUMBERS if name in members},
        **{name: _raw(members, name) for name in _BYTES if name in members},
    }
    subscription = Subscription(
        "subscribe",
        _raw(members, "key"),
        _string(members, "address"),
        algo=_string(members, "algo") if "algo" in members else None,
        proto=cast("Proto", proto),
        via=tuple(to_bytes(router) for router in via),
        **given,
    )
    source = _string(members, "source") if "source" in members else None
    if source is not None and ip_of(source) is None:
        raise StateError(f"source {source[:40]!r} is no IP address")
    credentials = None
    if "uid" in members:
        pid, uid, gid = (_number(members, name) for name in ("pid", "uid", "gid"))
        credentials = Credentials(pid, uid, gid)
    set_weight = _number(members, "set_weight") if "set_weight" in members else None
    if set_weight is not None and not 1 <= set_weight <= MAX_WEIGHT:
        raise StateError(f"set_weight {set_weight} is no weight")
    return SavedNode(
        subscription, source, credentials, "silent" in members, "drained" in members, set_weight
    )


def _number(members: Mapping[str, Any], name: str) -> int:
    number = members.get(name)
    # True is an int to Python.
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 63:
        raise StateError(f"{name} is no number")
    return number


def _string(members: Mapping[str, Any], name: str) -> str:
    text = members.get(name)
    if not isinstance(text, str):
        raise StateError(f"{name} is no text")
    return text


def _raw(members: Mapping[str, Any], name: str) -> bytes:
    try:
        return to_bytes(_string(members, name))
    except UnicodeEncodeError:
        raise StateError(f"{name} is no text") from None


def _switch(members: Mapping[str, Any], name: str) -> bool:
    switch = members.get(name)
    if not isinstance(switch, bool):
        raise StateError(f"{name} is neither true nor false")
    return switch
