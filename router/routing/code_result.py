"""Results of an operator's function: texts, and the nodes that they name."""

from uwsgi_router.protocol.named_node import NamedNodeError, parse_named_node
from uwsgi_router.protocol.scheme import NodeProto
from uwsgi_router.protocol.text import to_text
from uwsgi_router.subscriptions.node import Node


class ResultError(ValueError):
    """Error: a function's result names no nodes; ``str()`` says what was expected."""


def texts_of(result: object) -> list[str]:
    """Return the texts of what a function returned: none for ``None`` and "", one, or a list's.

    Raises:
        ResultError: if it is of another type.
    """
    if result is None or (isinstance(result, str | bytes) and not result):
        return []
    parts = result if isinstance(result, list | tuple) else [result]
    texts = []
    for part in parts:
        if isinstance(part, bytes):
            texts.append(to_text(part))
        elif isinstance(part, str):
            texts.append(part)
        else:
            raise ResultError(
                f"expected str, bytes, a list of these, or None, not {type(part).__name__}"
            )
    return texts


def parse_node(text: str, proto: NodeProto) -> Node:
    """Read ``ADDRESS[,MODIFIER1]``.

    Args:
        text: it.
        proto: what the node speaks if its address does not say.

    Raises:
        ResultError: if it is no such thing.
    """
    if "|" in text:
        raise ResultError("expected a list instead of addresses with | between them")
    try:
        target = parse_named_node(text.strip())
    except NamedNodeError as exc:
        raise ResultError(str(exc)) from exc
    return Node(
        target.name,
        target.address,
        modifier1=target.modifier1,
        proto=target.proto or proto,
    )
