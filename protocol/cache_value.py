"""Cache items as lists of nodes: ``ADDRESS[,MODIFIER1]|ADDRESS[,MODIFIER1]|…`` (uWSGI: plugins/corerouter/cr_map.c)."""

from typing import Final

from uwsgi_router.protocol.named_node import NamedNode, NamedNodeError, parse_named_node
from uwsgi_router.protocol.text import to_text

#: As many as a key of the subscription server may have.
MAX_NODES: Final = 1_000


class ValueProblem(ValueError):
    """Refusal of a value that does not name nodes; ``str()`` says what is wrong."""


def parse_value(value: bytes) -> tuple[NamedNode, ...]:
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
        targets = tuple(parse_named_node(to_text(element)) for element in elements if element)
    except NamedNodeError as exc:
        raise ValueProblem(str(exc)) from exc
    if not targets:
        raise ValueProblem("it names no node")
    return targets
