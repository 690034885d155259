"""Node names ``ADDRESS[,MODIFIER1]``, as caches and operators' functions give them."""

from dataclasses import dataclass

from uwsgi_router.protocol.address import Address, AddressError, parse_address


class NamedNodeError(ValueError):
    """Error for a text that names no node; ``str()`` says what is wrong."""


@dataclass(frozen=True, slots=True)
class NamedNode:
    """Node as it was named: address and modifier.

    Attributes:
        name: its address as written.
        address: where to connect.
        modifier1: what requests to it carry, 0 to 255.
    """

    name: str
    address: Address
    modifier1: int = 0


def parse_named_node(text: str) -> NamedNode:
    """Read the name of a node. uWSGI reads whatever follows the comma as some number; here it must be one.

    Raises:
        NamedNodeError: if the address is none, or the modifier is not a number from 0 to 255.
    """
    name, comma, modifier = text.partition(",")
    if name != name.strip():
        raise NamedNodeError(f"{text!r} begins or ends with a blank")
    try:
        address = parse_address(name)
    except AddressError as exc:
        raise NamedNodeError(f"{text!r} is no address: {exc}") from exc
    if not comma:
        return NamedNode(name, address)
    if (
        not (modifier.isascii() and modifier.isdigit() and len(modifier) <= 3)
        or int(modifier) > 255
    ):
        raise NamedNodeError(f"{text!r}: the modifier {modifier!r} is not a number from 0 to 255")
    return NamedNode(name, address, int(modifier))
