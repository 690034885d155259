"""Node record: what one process tells another of an announced node, as a JSON list of fixed shape."""

import math
from dataclasses import dataclass, fields
from typing import Any, Final, get_args

from uwsgi_router.protocol.key import key_fault
from uwsgi_router.protocol.subscription import (
    MAX_COUNT,
    MAX_MODIFIER,
    MAX_VIA,
    MAX_WEIGHT,
    Proto,
)
from uwsgi_router.protocol.text import to_bytes, to_text
from uwsgi_router.subscriptions.balancing import ALGORITHMS
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.sender import Credentials
from uwsgi_router.subscriptions.sni import Sni

_MOST: Final = 1 << 63


class RecordError(ValueError):
    """Error: what another process of this program sent is no record; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """Record of a node: what decides how it is chosen, and what must outlive the process that decides it.

    Attributes are those of :class:`uwsgi_router.subscriptions.node.SubscribedNode`, and:

    Attributes:
        algorithm: of its pool.
        ejected_until: when its ejection ends, on the clock of all processes; 0: it is not ejected.
        totals: requests, bytes read, bytes written, that the reader is to count as its own or as others'.
    """

    order: int
    key: bytes
    name: str
    algorithm: str
    modifier1: int
    modifier2: int
    proto: Proto
    cores: int
    load: int
    announced_weight: int
    set_weight: int | None
    backup: int
    vassal: bytes | None
    via: tuple[bytes, ...]
    source: str | None
    credentials: Credentials | None
    owner: int | None
    socket_owner: int | None
    sni: Sni | None
    last_seen: float
    alive_at: float
    death_mark: bool
    stale: bool
    drained: bool
    check_failure: str
    suspect: bool
    fails: int
    ejection: float
    ejected_until: float
    failcnt: int
    totals: tuple[int, int, int]

    @classmethod
    def of(
        cls,
        node: SubscribedNode,
        algorithm: str,
        ejected_until: float,
        totals: tuple[int, int, int],
    ) -> "NodeRecord":
        """Return the record of a node."""
        return cls(
            node.order,
            node.key,
            node.name,
            algorithm,
            node.modifier1,
            node.modifier2,
            node.proto,
            node.cores,
            node.load,
            node.announced_weight,
            node.set_weight,
            node.backup,
            node.vassal,
            node.via,
            node.source,
            node.credentials,
            node.owner,
            node.socket_owner,
            node.sni,
            node.last_seen,
            node.alive_at,
            node.death_mark,
            node.stale,
            node.drained,
            node.check_failure,
            node.suspect,
            max(0, node.fails),
            node.ejection,
            ejected_until,
            node.failcnt,
            totals,
        )

    def encode(self) -> list[Any]:
        """Return it as values for JSON."""
        sni, who = self.sni, self.credentials
        return [
            self.order,
            to_text(self.key),
            self.name,
            self.algorithm,
            self.modifier1,
            self.modifier2,
            self.proto,
            self.cores,
            self.load,
            self.announced_weight,
            self.set_weight,
            self.backup,
            _text_or_none(self.vassal),
            [to_text(router) for router in self.via],
            self.source,
            None if who is None else [who.pid, who.uid, who.gid],
            self.owner,
            self.socket_owner,
            None
            if sni is None
            else [to_text(sni.key), to_text(sni.crt), _text_or_none(sni.ca), sni.ca_required],
            self.last_seen,
            self.alive_at,
            self.death_mark,
            self.stale,
            self.drained,
            self.check_failure,
            self.suspect,
            self.fails,
            self.ejection,
            self.ejected_until,
            self.failcnt,
            list(self.totals),
        ]


_FIELDS: Final = tuple(field.name for field in fields(NodeRecord))


def decode(values: object) -> NodeRecord:
    """Read what :meth:`NodeRecord.encode` made.

    Raises:
        RecordError: with the first value that is wrong.
    """
    if not isinstance(values, list) or len(values) != len(_FIELDS):
        raise RecordError("a node's record has not as many values as it should")
    given = dict(zip(_FIELDS, values, strict=True))
    key = raw(given["key"], "key")
    if not key or key_fault(key) is not None:
        raise RecordError("key is none")
    if given["proto"] not in get_args(Proto):
        raise RecordError("proto is unknown")
    if given["algorithm"] not in ALGORITHMS:
        raise RecordError("algorithm is unknown")
    via = given["via"]
    if not isinstance(via, list) or len(via) > MAX_VIA:
        raise RecordError("via is no list of routers")

    def count(name: str, most: int = _MOST) -> int:
        return number(given[name], name, most)

    return NodeRecord(
        order=count("order"),
        key=key,
        name=text(given["name"], "name"),
        algorithm=given["algorithm"],
        modifier1=count("modifier1", MAX_MODIFIER),
        modifier2=count("modifier2", MAX_MODIFIER),
        proto=given["proto"],
        cores=count("cores", MAX_COUNT),
        load=count("load", MAX_COUNT),
        backup=count("backup", MAX_COUNT),
        announced_weight=_weight(given["announced_weight"], "announced_weight"),
        set_weight=_none_or(_weight, given["set_weight"], "set_weight"),
        vassal=_none_or(raw, given["vassal"], "vassal"),
        via=tuple(raw(router, "via") for router in via),
        source=_none_or(text, given["source"], "source"),
        credentials=_none_or(_credentials, given["credentials"], "credentials"),
        owner=_none_or(number, given["owner"], "owner"),
        socket_owner=_none_or(number, given["socket_owner"], "socket_owner"),
        sni=_none_or(_sni, given["sni"], "sni"),
        last_seen=seconds(given["last_seen"], "last_seen"),
        alive_at=seconds(given["alive_at"], "alive_at"),
        death_mark=_switch(given["death_mark"], "death_mark"),
        stale=_switch(given["stale"], "stale"),
        drained=_switch(given["drained"], "drained"),
        check_failure=text(given["check_failure"], "check_failure"),
        suspect=_switch(given["suspect"], "suspect"),
        fails=count("fails"),
        ejection=seconds(given["ejection"], "ejection"),
        ejected_until=seconds(given["ejected_until"], "ejected_until"),
        failcnt=count("failcnt"),
        totals=_totals(given["totals"]),
    )


def number(value: object, name: str, most: int = _MOST) -> int:
    """Read a whole number from 0 to ``most``.

    Raises:
        RecordError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise RecordError(f"{name} is no number")
    return value


def seconds(value: object, name: str) -> float:
    """Read a time.

    Raises:
        RecordError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RecordError(f"{name} is no time")
    return float(value)


def text(value: object, name: str) -> str:
    """Read a text.

    Raises:
        RecordError: it is none.
    """
    if not isinstance(value, str):
        raise RecordError(f"{name} is no text")
    return value


def raw(value: object, name: str) -> bytes:
    """Read bytes, which are written as text.

    Raises:
        RecordError: it is none.
    """
    try:
        return to_bytes(text(value, name))
    except UnicodeEncodeError:
        raise RecordError(f"{name} is no text") from None


def _none_or(read: Any, value: object, name: str) -> Any:
    return None if value is None else read(value, name)


def _text_or_none(data: bytes | None) -> str | None:
    return None if data is None else to_text(data)


def _weight(value: object, name: str) -> int:
    found = number(value, name, MAX_WEIGHT)
    if not found:
        raise RecordError(f"{name} is no weight")
    return found


def _switch(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise RecordError(f"{name} is neither true nor false")
    return value


def _credentials(value: object, name: str) -> Credentials:
    if not isinstance(value, list) or len(value) != 3:
        raise RecordError(f"{name} are no three numbers")
    return Credentials(*(number(one, name) for one in value))


def _sni(value: object, name: str) -> Sni:
    if not isinstance(value, list) or len(value) != 4:
        raise RecordError(f"{name} is no list of files")
    key, crt, ca, required = value
    return Sni(raw(key, name), raw(crt, name), _none_or(raw, ca, name), _switch(required, name))


def _totals(value: object) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3:
        raise RecordError("totals are no three numbers")
    requests, received, sent = (number(one, "totals") for one in value)
    return requests, received, sent
