"""What an item says: ``ADDRESS[,MODIFIER1]|ADDRESS[,MODIFIER1]|…`` (routers-core sheet, 3.1)."""

from typing import Final

from uwsgi_router.protocol.node_address import Target, TargetError, parse_target
from uwsgi_router.protocol.text import to_text

#: As many as a key of the subscription server may have.
MAX_NODES: Final = 1_000


class ValueProblem(ValueError):
    """The value does not name nodes; ``str()`` says what is wrong."""


def parse_value(value: bytes) -> tuple[Target, ...]:
    """Read a value whole, or refuse it whole.

    Empty elements are left out (uWSGI closes the requests whose turn they get); a newline at the end of an element is
    ignored, because values often come from ``echo``.

    Raises:
        ValueProblem: if an element is no address, its modifier no number from 0 to 255, or there are no nodes.
    """
    elements = [part.rstrip(b"\r\n") for part in value.split(b"|", MAX_NODES)]
    if len(elements) > MAX_NODES:
        raise ValueProblem(f"more than {MAX_NODES} nodes")
    try:
        targets = tuple(parse_target(to_text(element)) for element in elements if element)
    except TargetError as exc:
        raise ValueProblem(str(exc)) from exc
    if not targets:
        raise ValueProblem("it names no node")
    return targets
