"""Stats document of an Emperor: uWSGI's keys in its order, and ours behind them (uWSGI: core/emperor.c)."""

import json
import os
from collections.abc import Mapping
from typing import Any, Final

from uwsgi_router.protocol.text import show
from uwsgi_router.router.emperor.government import Government
from uwsgi_router.router.emperor.vassal import Vassal
from uwsgi_router.version import __version__

#: Not a bare number: nobody should take us for a uWSGI of that version.
VERSION: Final = f"uwsgi-router {__version__}"


def describe(government: Government) -> Mapping[str, Any]:
    """Return the values; times are seconds of the epoch, 0 is never."""
    return {
        "version": VERSION,
        "pid": os.getpid(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "cwd": _working_directory(),
        "emperor": [_text(monitor.shown) for monitor in government.monitors],
        "emperor_tyrant": int(government.config.tyrant),
        "throttle_level": 0,
        "vassals": [vassal_members(vassal) for vassal in government.vassals.values()],
        "blacklist": [
            {
                "id": _text(name),
                "throttle_level": entry.level // 1000,
                "attempt": entry.attempts,
                "first_attempt": int(entry.first),
                "last_attempt": int(entry.last),
            }
            for name, entry in government.blacklist
        ],
        "ending": int(government.ending),
    }


def vassal_members(vassal: Vassal) -> Mapping[str, Any]:
    """Return the values of one vassal."""
    chronicle, machine, file = vassal.chronicle, vassal.machine, vassal.file
    return {
        "id": _text(vassal.name),
        "pid": vassal.pid,
        "born": int(chronicle.born),
        "last_mod": int(chronicle.modified),
        "last_heartbeat": int(chronicle.last_heartbeat),
        "loyal": int(machine.loyal),
        "ready": int(machine.ready),
        "accepting": int(machine.accepting),
        "last_loyal": int(chronicle.last_loyal),
        "last_ready": int(chronicle.last_ready),
        "last_accepting": int(chronicle.last_accepting),
        "first_run": int(chronicle.first_run),
        "last_run": int(chronicle.last_run),
        "cursed": int(chronicle.cursed),
        "zerg": 0,
        "on_demand": "" if vassal.on_demand is None else _text(vassal.on_demand.name),
        "uid": file.uid,
        "gid": file.gid,
        "monitor": _text(file.monitor),
        "respawns": chronicle.respawns,
        "state": machine.state.value,
        "restarts": chronicle.restarts,
        "last_end": _text(chronicle.last_end),
        "last_end_at": int(chronicle.ended_at),
        "next_start": int(chronicle.next_start),
        "last_lines": [_text(line) for line in chronicle.last_lines],
    }


def encode(document: Mapping[str, Any], *, minified: bool = False) -> bytes:
    """Return a document as JSON: ASCII, indented by tabs unless it is minified."""
    if minified:
        return json.dumps(document, separators=(",", ":")).encode()
    return json.dumps(document, separators=(",", ":"), indent="\t").encode()


def _text(text: str) -> str:
    """Return text that JSON can have: names of files may be any bytes."""
    return show(os.fsencode(text))


def _working_directory() -> str:
    try:
        return _text(os.getcwd())
    except OSError:
        return ""
