"""Succession of an Emperor that executes itself: what it leaves of its vassals, and how it goes on with them."""

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from uwsgi_router.router.emperor.blacklist import BlacklistEntry
from uwsgi_router.router.emperor.chronicle import Chronicle
from uwsgi_router.router.emperor.government import Government
from uwsgi_router.router.emperor.machine import After, VassalState
from uwsgi_router.router.emperor.on_demand import OnDemandSocket
from uwsgi_router.router.emperor.vassal import Vassal
from uwsgi_router.router.emperor.vassal_file import VassalFile


def leave(government: Government) -> tuple[Mapping[str, Any], list[int]]:
    """Return what :func:`inherit` needs, as JSON has it, and the descriptors that have to stay open."""
    vassals, kept = [], []
    for vassal in government.vassals.values():
        saved, descriptors = vassal.state()
        vassals.append(saved)
        kept += descriptors
    blacklist = [[name, asdict(entry)] for name, entry in government.blacklist]
    return {"vassals": vassals, "blacklist": blacklist}, kept


def inherit(government: Government, state: Mapping[str, Any]) -> None:
    """Go on with the vassals that were there before an exec."""
    for name, entry in state["blacklist"]:
        government.blacklist.restore(name, BlacklistEntry(**entry))
    for saved in state["vassals"]:
        sleeping = saved["on_demand"]
        vassal = Vassal(
            VassalFile(**saved["file"]),
            government,
            None if sleeping is None else OnDemandSocket.restore(sleeping),
        )
        government.vassals[vassal.name] = vassal
        _restore(vassal, saved, government.loop.time())


def _restore(vassal: Vassal, saved: Mapping[str, Any], now: float) -> None:
    vassal.scribe.chronicle = Chronicle(**saved["chronicle"])
    vassal.output.restore(saved["lines"])
    for descriptor in saved["outputs"]:
        os.set_inheritable(descriptor, False)
        vassal.output.read_from(descriptor)
    vassal.machine.restore(
        VassalState(saved["state"]),
        After(saved["after"]),
        now,
        ready=saved["ready"],
        accepting=saved["accepting"],
        loyal=saved["loyal"],
        delay=saved["delay"],
    )
    pipe = None
    if saved["pipe"] >= 0:
        os.set_inheritable(saved["pipe"], False)
        pipe = socket.socket(fileno=saved["pipe"])
    vassal.go_on(saved["pid"], pipe)
