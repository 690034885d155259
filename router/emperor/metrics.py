"""Prometheus metrics of an Emperor: its vassals, by name and state."""

from collections import Counter
from collections.abc import Iterator

from uwsgi_router.router.emperor.document import vassal_members
from uwsgi_router.router.emperor.government import Government
from uwsgi_router.router.emperor.machine import VassalState

# Prefix of all names; as the routers' metrics have it.
_PREFIX = "uwsgi_router_"
_OF_EACH = (
    ("vassal_up", "gauge", "It has a process that takes requests.", "accepting"),
    ("vassal_reloads_total", "counter", "Orders to reload that its process got.", "respawns"),
    ("vassal_restarts_total", "counter", "Processes that followed one that had ended.", "restarts"),
    ("vassal_started_seconds", "gauge", "When it was started or reloaded last.", "last_run"),
)


def metrics(government: Government) -> bytes:
    """Return the metrics as text (Prometheus' exposition format 0.0.4)."""
    return "".join(f"{line}\n" for line in _lines(government)).encode()


def _lines(government: Government) -> Iterator[str]:
    states = Counter(one.machine.state for one in government.vassals.values())
    yield from _family("vassals", "gauge", "Vassals in each state.")
    for state in VassalState:
        yield f'{_PREFIX}vassals{{state="{state.value}"}} {states[state]}'
    members = [vassal_members(one) for one in government.vassals.values()]
    for name, kind, text, member in _OF_EACH:
        yield from _family(name, kind, text)
        for one in members:
            yield f'{_PREFIX}{name}{{vassal="{_label(one["id"])}"}} {one[member]}'


def _family(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {text}"
    yield f"# TYPE {_PREFIX}{name} {kind}"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
