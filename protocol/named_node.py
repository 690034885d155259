"""Node names: an address, perhaps with a scheme; ``ADDRESS[,MODIFIER1]`` in caches and from operators' functions."""

from dataclasses import dataclass, replace

from uwsgi_router.protocol.address import Address, AddressError, parse_address
from uwsgi_router.protocol.scheme import NodeProto, split_scheme


class NamedNodeError(ValueError):
    """Error for a text that names no node; ``str()`` says what is wrong."""


@dataclass(frozen=True, slots=True)
class NamedNode:
    """Node as it was named: address, protocol and modifier.

    Attributes:
        name: its address as written, without its scheme: an announced node there has the same name.
        address: where to connect.
        modifier1: what requests to it carry, 0 to 255.
        proto: what it speaks; None if its scheme does not say.
    """

    name: str
    address: Address
    modifier1: int = 0
    proto: NodeProto | None = None


def parse_node(text: str) -> NamedNode:
    """Read the address of a node, with or without a scheme.

    Raises:
        AddressError: with what was expected.
    """
    name, proto = split_scheme(text)
    return NamedNode(name, parse_address(name), proto=proto)


def parse_named_node(text: str) -> NamedNode:
    """Read the name of a node with a modifier.

    uWSGI reads whatever follows the comma as some number; here it must be one.

    Raises:
        NamedNodeError: if the address is none, or the modifier is not a number from 0 to 255.
    """
    name, comma, modifier = text.partition(",")
    if name != name.strip():
        raise NamedNodeError(f"{text!r} begins or ends with a blank")
    try:
        node = parse_node(name)
    except AddressError as exc:
        raise NamedNodeError(f"{text!r} is no address: {exc}") from exc
    if not comma:
        return node
    if (
        not (modifier.isascii() and modifier.isdigit() and len(modifier) <= 3)
        or int(modifier) > 255
    ):
        raise NamedNodeError(f"{text!r}: the modifier {modifier!r} is not a number from 0 to 255")
    return replace(node, modifier1=int(modifier))
