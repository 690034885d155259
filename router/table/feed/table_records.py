"""Records of a table: snapshot of it, and the values of records that say little."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from uwsgi_router.protocol.text import to_text
from uwsgi_router.router.table.feed.frames import Record
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.node import SubscribedNode
from uwsgi_router.subscriptions.node_record import RecordError, number, raw, seconds, text
from uwsgi_router.subscriptions.pool import NodePool
from uwsgi_router.subscriptions.replay import HISTORY, MAX_AHEAD, Used

Totals = tuple[int, int, int]


def records_of(
    name: str,
    table: Table,
    totals: Callable[[SubscribedNode], Totals],
    hits: Callable[[NodePool], int],
    asked: Callable[[SubscribedNode], int] = lambda _node: 0,
) -> Iterator[Record]:
    """Yield everything that a copy of a table has to know; the table may change meanwhile.

    Args:
        name: of the table.
        table: it.
        totals: requests, bytes read and written of a node that the reader is to keep.
        hits: look-ups of a key, likewise.
        asked: number of the question whether the reader holds the node; 0: there is none.
    """
    registry = table.registry
    started, settling = registry.start_of()
    identity = table.identity.decode()
    yield name, "start", started, settling, table.used_times is not None, identity
    for key, since, owner in registry.remembered():
        yield name, "known", to_text(key), since, owner
    for key, node_name, since in registry.suspects():
        yield name, "suspect", to_text(key), node_name, since
    for node in registry.nodes():
        if not node.removed:
            yield name, "node", registry.record_of(node, totals(node)).encode(), asked(node)
    expected = registry.once_expected()
    if expected:
        # Behind the nodes: a key that is announced later is one like any other again.
        yield name, "expected", [to_text(key) for key in expected]
    for key, pool in list(registry.pools.items()):
        if count := hits(pool):
            yield name, "looked-up", to_text(key), count
    for used in table.used_times.items() if table.used_times is not None else ():
        about = None if used.node is None else [to_text(used.node[0]), used.node[1]]
        yield (
            name,
            "used",
            used.signer,
            about,
            used.floor,
            used.hole,
            f"{used.recent:x}",
            used.ahead,
        )


def take(values: Sequence[Any], count: int) -> Sequence[Any]:
    """Return the values of a record that has ``count`` of them.

    Raises:
        RecordError: it has not.
    """
    if len(values) != count:
        raise RecordError(f"{len(values)} values instead of {count}")
    return values


def rows(value: object, width: int) -> Iterator[list[Any]]:
    """Yield the rows of a list of lists.

    Raises:
        RecordError: it is none.
    """
    if not isinstance(value, list):
        raise RecordError("no list")
    for row in value:
        if not isinstance(row, list) or len(row) != width:
            raise RecordError(f"a row has not {width} values")
        yield row


def read_used(values: Sequence[Any]) -> Used:
    """Read the used times of a node.

    Raises:
        RecordError: they are none.
    """
    signer, about, floor, hole, recent, ahead = take(values, 6)
    node = None
    if about is not None:
        if not isinstance(about, list):
            raise RecordError("node is none")
        key, address = take(about, 2)
        node = raw(key, "key"), text(address, "address")
    if not isinstance(ahead, list) or len(ahead) > MAX_AHEAD:
        raise RecordError("ahead is no list of times")
    digits = text(recent, "recent")
    if not digits or len(digits) > HISTORY // 4 or digits.strip("0123456789abcdef"):
        raise RecordError("recent is no history")
    return Used(
        text(signer, "signer"),
        node,
        number(floor, "floor"),
        None if hole is None else number(hole, "hole"),
        int(digits, 16),
        tuple(number(time, "ahead") for time in ahead),
    )


def adopt_memory(table: Table, word: str, values: Sequence[Any]) -> bool:
    """Take in what a table remembers beside its nodes; return False if ``word`` is another one.

    Raises:
        RecordError: the values make no sense.
    """
    registry = table.registry
    if word == "start":
        started, settling, _signed, identity = take(values, 4)
        table.identity = raw(identity, "identity")
        registry.adopt_start(seconds(started, "started"), seconds(settling, "settling"))
    elif word == "expected":
        (keys,) = take(values, 1)
        if not isinstance(keys, list):
            raise RecordError("expected is no list of keys")
        registry.give_up(raw(key, "key") for key in keys)
    elif word == "known":
        key, since, owner = take(values, 3)
        registry.remember(
            raw(key, "key"),
            seconds(since, "since"),
            None if owner is None else number(owner, "owner"),
        )
    elif word == "suspect":
        key, name, since = take(values, 3)
        registry.remember_suspect(raw(key, "key"), text(name, "name"), seconds(since, "since"))
    elif word == "used":
        used = read_used(values)
        if table.used_times is not None:
            table.used_times.restore(used)
    else:
        return False
    return True
