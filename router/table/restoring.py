"""Restoring of a table: what a file, or the process that decided before this one, knew of its nodes."""

from dataclasses import replace

from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.router.table.table import Table
from uwsgi_router.subscriptions.events import Event, NodeAdded
from uwsgi_router.subscriptions.node_record import NodeRecord
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.sender import Sender
from uwsgi_router.subscriptions.state import SavedNode, SavedTable


def restore(table: Table, saved: SavedTable, now: float, wall: float, written: float) -> list[str]:
    """Take in what an earlier run saved; to be called before the first announce is heard.

    Args:
        table: it.
        saved: read from its file.
        now: the loop's time.
        wall: seconds since the epoch.
        written: likewise, when it was saved.

    Returns:
        For each node that is left out, why.
    """
    left_out: list[str] = []
    events: list[Event] = []
    for node in saved.nodes:
        sender = Sender(table.config.state or "", node.source, node.credentials)
        try:
            grant = table.gate.readmit(node.subscription, sender, signed=saved.signed)
            added = table.registry.restore(
                node.subscription,
                source=node.source,
                now=now,
                grant=grant,
                sni=table.sni_of(node.subscription, sender),
                stale=node.stale,
            )
        except Refused as exc:
            left_out.append(exc.reason)
        else:
            events += added + _set_again(table, added, node)
    for key, since, owner in sorted(saved.known, key=lambda known: known[1]):
        table.registry.remember(key, now - max(0.0, wall - since), owner)
    if table.used_times is not None:
        for used in saved.used:
            table.used_times.restore(used)
        table.saved(wall, written)
    # Not logged one by one: they are not new.
    table.tell(events)
    if abs(wall - written) <= table.config.tolerance:
        table.registry.settle()
    return left_out


def adopt(table: Table, record: NodeRecord, *, signed: bool) -> str:
    """Take in a node from the process that decided before this one; return why it is left out, "" if it is not.

    Args:
        table: that takes it in.
        record: of the node.
        signed: announces had to be signed there.
    """
    announce = Subscription(
        "subscribe",
        record.key,
        record.name,
        modifier1=record.modifier1,
        modifier2=record.modifier2,
        proto=record.proto,
        vassal=record.vassal,
        via=record.via,
        sni_key=None if record.sni is None else record.sni.key,
        sni_crt=None if record.sni is None else record.sni.crt,
    )
    sender = Sender(f"{record.name}, announced before", record.source, record.credentials)
    try:
        grant = table.gate.readmit(announce, sender, signed=signed)
    except Refused as exc:
        return exc.reason
    if record.sni is not None and table.sni_of(announce, sender) is None:
        record = replace(record, sni=None)
    node, events = table.registry.put(record, grant)
    node.requests, node.tx, node.rx = record.totals
    table.tell(events)
    return ""


def _set_again(table: Table, added: list[Event], saved: SavedNode) -> list[Event]:
    """Apply what the operator had set to a node that was restored."""
    events: list[Event] = []
    for event in added:
        if isinstance(event, NodeAdded):
            if saved.drained:
                events += table.registry.drain(event.node)
            events += table.registry.set_weight(event.node, saved.set_weight)
    return events
