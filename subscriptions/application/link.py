"""Questions to the router about copies, over its control socket; all of them block, and are asked in threads."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from uwsgi_router.protocol.control import Question
from uwsgi_router.subscriptions.client.control import CannotAsk, Control

# Seconds for an answer beyond what the question itself may take.
_PATIENCE: Final = 5.0
_POLL: Final = 0.02


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """Figures of a copy as the router has it.

    Attributes:
        state: as in ``uwsgi-router status``.
        requests: that it has been sent.
        running: that it has now.
        waiting: of these, those that have no byte of an answer yet.
        waiting_since: seconds for which the youngest of them has waited; 0.0: there is none.
        streams: of those that run, event streams.
        tunnels: and WebSockets.
    """

    state: str
    requests: int
    running: int
    waiting: int
    waiting_since: float
    streams: int
    tunnels: int


def await_node(control: str, address: str, seconds: float) -> bool:
    """Wait until the router has a node in its table and chooses it; False if that took too long."""
    end = time.monotonic() + seconds
    while True:
        try:
            node = figures(control).get(address)
        except CannotAsk:
            node = None
        if node is not None and node.state in {"ready", "slow-connect", "unhealthy"}:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL)


def figures(control: str) -> Mapping[str, NodeFigures]:
    """Return the figures of all nodes by address; of one that serves several keys their sum.

    Raises:
        CannotAsk: the router does not answer.
    """
    found: dict[str, NodeFigures] = {}
    with Control(control, _PATIENCE) as connection:
        for line in connection.ask(Question("status", running=True)):
            if "node" not in line:
                continue
            node = line["node"]
            name, one = node["node"], _figures(node)
            found[name] = _sum(found[name], one) if name in found else one
    return found


def _figures(node: Mapping[str, Any]) -> NodeFigures:
    return NodeFigures(
        state=node["state"],
        requests=node["requests"],
        running=node["running"],
        waiting=node.get("waiting") or 0,
        waiting_since=node.get("waiting_since") or 0.0,
        streams=node.get("streams") or 0,
        tunnels=node.get("tunnels") or 0,
    )


def _sum(a: NodeFigures, b: NodeFigures) -> NodeFigures:
    ages = [one.waiting_since for one in (a, b) if one.waiting]
    return NodeFigures(
        state=b.state,
        requests=a.requests + b.requests,
        running=a.running + b.running,
        waiting=a.waiting + b.waiting,
        waiting_since=min(ages, default=0.0),
        streams=a.streams + b.streams,
        tunnels=a.tunnels + b.tunnels,
    )


def drain_node(control: str, address: str, requests: float, streams: float) -> str | None:
    """Take a node out of service and wait for its requests; return what is left of them, None if nothing is.

    Args:
        control: the router's socket.
        address: of the node.
        requests: seconds for requests.
        streams: seconds for event streams and WebSockets, which are ended then.
    """
    question = Question("drain", address, timeout=requests, streams=streams)
    try:
        with Control(control, _PATIENCE + max(0.0, streams - requests)) as connection:
            done = connection.do(question)
    except CannotAsk as exc:
        return f"the router can't say when its requests have ended: {exc}"
    if done["running"]:
        return f"{done['running']} requests are cut off"
    return None
