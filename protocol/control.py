r"""Control protocol between operator commands and the router: one JSON object a line, each way.

A question::

    {"v": 1, "do": "drain", "node": "127.0.0.1:4001", "key": "example.com", "timeout": 30}

========  ===================================================================================
do        members
========  ===================================================================================
status    key: only its nodes; left out: all; running: true: with what its running requests are
drain     node; key: left out: whatever keys it has; timeout: seconds until the answer at the
          latest, 0 or left out: at once; wait_only: true: nothing is changed, but the answer
          comes only when somebody else has taken the node out of service, too; streams: seconds
          after which event streams and WebSockets are ended; left out: never; while_connected:
          true: until this connection ends, also of nodes that leave and announce themselves again,
          or have not come yet; without key
enable    node; key
weight    node; key; weight: 1 to 1,000,000; null or left out: what the node announces
certificates
apps      app: only its copies; left out: all. Of ``uwsgi-router serve`` and ``[app]`` sections
rollout   app: left out: all; surge: true: all new copies at once. The answer comes at its end
reload    timeout: seconds to wait for the outcome; 0 or left out: it is not waited for
vassals   vassal: only this one, by its name, or that without the ending; left out: all; order: start, stop, reload,
          reset (its failures are forgotten) or log (its last lines). Of an Emperor; a router tells where its own is
========  ===================================================================================

The answer to ``status`` is a line for each node, ``{"node": {...}}``, that to ``certificates`` one for each that is
served over TLS, ``{"certificate": {"name": ..., "file": ..., "not_after": epoch}}``, that to ``apps`` one for each
copy, ``{"copy": {...}}``, that to ``vassals`` one for each vassal, ``{"vassal": {...}}``, as its order has left it, for
``log`` with lines, ``{"line": "..."}``, before it, or of a router ``{"emperor": PATH}``, a control socket; a rollout's
failure has lines of the copy that failed.
Then there is, as in every answer, one line that has ``ok``:
``{"v": 1, "ok": true, "nodes": 3, "running": 0}``. ``nodes`` are those that were meant (or certificates), ``running``
the requests that they still have: 0 after a ``drain`` that was in time. A ``status`` also has
``version`` and ``build`` (``compiled`` or ``plain``), the router's. ``known`` is false if nobody has
announced the key within the last hour: perhaps it is another router.
``{"v": 1, "ok": false, "error": "..."}`` says what was wrong. Questions may follow each other on one
connection; each is answered before the next one is read. Whoever closes it takes back no ``drain``
but gets no answer; one ``while_connected`` he takes back, unless there was an ``enable`` or another
``drain`` meanwhile.

Keys and addresses are UTF-8; other bytes are kept as lone surrogates (``\udcXX``). What is not known
here is refused, so that nobody thinks that it was done.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from uwsgi_router.protocol.key import normal_key
from uwsgi_router.protocol.subscription import MAX_KEY, MAX_WEIGHT
from uwsgi_router.protocol.text import to_bytes, to_text

VERSION: Final = 1
#: Bytes of a question's line, its end included.
MAX_QUESTION: Final = 8192
#: Bytes of an answer's line.
MAX_ANSWER: Final = 65_536
#: Seconds that a question may ask to wait for.
MAX_TIMEOUT: Final = 86_400.0
_MAX_NODE: Final = 255

Do = Literal[
    "status", "drain", "enable", "weight", "certificates", "reload", "apps", "rollout", "vassals"
]
Order = Literal["", "start", "stop", "reload", "reset", "log"]

_MEMBERS: Final[Mapping[Do, frozenset[str]]] = {
    "status": frozenset({"key", "running"}),
    "drain": frozenset({"node", "key", "timeout", "wait_only", "streams", "while_connected"}),
    "enable": frozenset({"node", "key"}),
    "weight": frozenset({"node", "key", "weight"}),
    "certificates": frozenset(),
    "reload": frozenset({"timeout"}),
    "vassals": frozenset({"vassal", "order"}),
    "apps": frozenset({"app"}),
    "rollout": frozenset({"app", "surge"}),
}
#: Words that are about no node.
_WITHOUT_NODE: Final = frozenset({"status", "certificates", "reload", "apps", "rollout", "vassals"})
#: Words that supervisors of applications know, and routers do not.
OF_APPLICATIONS: Final = frozenset({"apps", "rollout"})
_OBJECTS: Final = ("node", "certificate", "copy", "vassal")
_encode = json.JSONEncoder(separators=(",", ":")).encode


class ControlError(ValueError):
    """Error for a line that is no question, or no answer; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class Question:
    """Command of an operator to the router.

    Attributes:
        do: the word.
        node: the node's address as in the table; "" for words that are about none.
        key: None: every key.
        timeout: seconds.
        weight: None: what the node announces.
        wait_only: see the module.
        running: likewise.
        streams: likewise; None: never.
        app: name of an application; "": all.
        surge: see the module; None: as the application has it.
        vassal: name of a vassal; "": all.
        order: see the module; "": they are only shown.
        while_connected: see the module.
    """

    do: Do
    node: str = ""
    key: bytes | None = None
    timeout: float = 0.0
    weight: int | None = None
    wait_only: bool = False
    running: bool = False
    streams: float | None = None
    app: str = ""
    surge: bool | None = None
    vassal: str = ""
    order: Order = ""
    while_connected: bool = False


def encode_question(question: Question) -> bytes:
    """Write a question as a line."""
    members: dict[str, Any] = {"v": VERSION, "do": question.do}
    if question.node:
        members["node"] = question.node
    if question.key is not None:
        members["key"] = to_text(question.key)
    if question.timeout:
        members["timeout"] = question.timeout
    if question.weight is not None:
        members["weight"] = question.weight
    if question.wait_only:
        members["wait_only"] = True
    if question.running:
        members["running"] = True
    if question.streams is not None:
        members["streams"] = question.streams
    if question.app:
        members["app"] = question.app
    if question.surge is not None:
        members["surge"] = question.surge
    if question.vassal:
        members["vassal"] = question.vassal
    if question.order:
        members["order"] = question.order
    if question.while_connected:
        members["while_connected"] = True
    return encode_line(members)


def decode_question(line: bytes) -> Question:
    """Read a line.

    Raises:
        ControlError: if it is none that can be answered.
    """
    members = _object(line)
    version, do = members.pop("v", None), members.pop("do", None)
    if version != VERSION or isinstance(version, bool):
        raise ControlError(f"this router speaks version {VERSION} of the control protocol only")
    if not isinstance(do, str) or do not in get_args(Do):
        raise ControlError(f"nothing is known of the word {_shown(do)}")
    word = cast("Do", do)
    for name in members:
        if name not in _MEMBERS[word]:
            raise ControlError(f"{word} has no {_shown(name)}")
    node = members.get("node", "")
    without = word in _WITHOUT_NODE
    if not isinstance(node, str) or len(_raw(node)) > _MAX_NODE or bool(node) == without:
        raise ControlError(f"{word} needs a node: an address of up to {_MAX_NODE} bytes")
    while_connected = _switch("while_connected", members.get("while_connected", False))
    if while_connected and (members.get("key") is not None or members.get("wait_only")):
        raise ControlError("while_connected is for all keys of a node, and not for wait_only")
    return Question(
        word,
        node,
        _key(members.get("key")),
        _timeout(members.get("timeout", 0)),
        _weight(members.get("weight")),
        _switch("wait_only", members.get("wait_only", False)),
        _switch("running", members.get("running", False)),
        None if members.get("streams") is None else _timeout(members["streams"]),
        _app(members.get("app", "")),
        None if members.get("surge") is None else _switch("surge", members["surge"]),
        *_vassal(members.get("vassal", ""), members.get("order", "")),
        while_connected,
    )


def encode_line(members: Mapping[str, Any]) -> bytes:
    """Write an object as a line."""
    return _encode(members).encode("ascii") + b"\n"


def encode_done(
    *, nodes: int, running: int = 0, known: bool = True, program: Mapping[str, str] | None = None
) -> bytes:
    """Write the last line of an answer; attributes as in the module, ``program`` being version and build."""
    members = {"v": VERSION, "ok": True, "nodes": nodes, "running": running, "known": known}
    return encode_line({**members, **(program or {})})


def encode_refusal(error: str) -> bytes:
    """Write the line that says what is wrong."""
    return encode_line({"v": VERSION, "ok": False, "error": error})


def decode_answer(line: bytes) -> dict[str, Any]:
    """Read a line of an answer: one that has ``node``, ``copy``, ``line`` or another of these, or the last one.

    Raises:
        ControlError: if it is none, or says that something is wrong.
    """
    members = _object(line)
    if any(isinstance(members.get(name), dict) for name in _OBJECTS):
        return members
    if any(isinstance(members.get(name), str) for name in ("line", "emperor")):
        return members
    if members.get("ok") is False:
        raise ControlError(
            str(members.get("error", "")) or "the router did nothing, and says not why"
        )
    counts = [members.get("nodes"), members.get("running")]
    counted = all(type(count) is int for count in counts)
    if members.get("ok") is not True or not counted or not isinstance(members.get("known"), bool):
        raise ControlError("it is no answer of a router")
    return members


def _object(line: bytes) -> dict[str, Any]:
    try:
        members = json.loads(line)
    except (ValueError, RecursionError):
        raise ControlError("the line is not JSON") from None
    if not isinstance(members, dict):
        raise ControlError("the line is no JSON object")
    return members


def _raw(text: str) -> bytes:
    try:
        return to_bytes(text)
    except UnicodeEncodeError:
        raise ControlError("the text has surrogates that stand for no byte") from None


def _key(key: object) -> bytes | None:
    if key is None:
        return None
    if not isinstance(key, str) or not 1 <= len(raw := _raw(key)) <= MAX_KEY:
        raise ControlError(f"a key is a text of 1 to {MAX_KEY} bytes")
    return normal_key(raw)


def _timeout(seconds: object) -> float:
    # True is an int to Python; NaN is neither below nor above anything.
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ControlError("timeout is no number of seconds")
    if not 0 <= seconds <= MAX_TIMEOUT:
        raise ControlError(f"timeout is not between 0 and {MAX_TIMEOUT:g} seconds")
    return float(seconds)


def _weight(weight: object) -> int | None:
    if weight is None:
        return None
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MAX_WEIGHT:
        raise ControlError(f"weight is no whole number from 1 to {MAX_WEIGHT}")
    return weight


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ControlError(f"{name} is neither true nor false")
    return value


def _app(name: object) -> str:
    if not isinstance(name, str) or len(_raw(name)) > _MAX_NODE:
        raise ControlError(f"an application's name is a text of up to {_MAX_NODE} bytes")
    return name


def _vassal(name: object, order: object) -> tuple[str, Order]:
    if not isinstance(name, str) or len(_raw(name)) > _MAX_NODE:
        raise ControlError(f"a vassal's name is a text of up to {_MAX_NODE} bytes")
    if not isinstance(order, str) or order not in get_args(Order):
        raise ControlError(f"{_shown(order)} is no order: write start, stop, reload, reset or log")
    if order and not name:
        raise ControlError(f"{order} needs the name of a vassal")
    return name, cast("Order", order)


def _shown(value: object) -> str:
    return repr(value)[:80]
