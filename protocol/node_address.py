"""``ADDRESS[,MODIFIER1]``: how a cache's value or an operator's function names a node (routers-core sheet 3.1, 3.5)."""

from dataclasses import dataclass

from uwsgi_router.protocol.address import Address, AddressError, parse_address


class TargetError(ValueError):
    """The text names no node; ``str()`` says what is wrong."""


@dataclass(frozen=True, slots=True)
class Target:
    """A node as it was named.

    Attributes:
        name: its address as written.
        address: where to connect.
        modifier1: what requests to it carry, 0 to 255.
    """

    name: str
    address: Address
    modifier1: int = 0


def parse_target(text: str) -> Target:
    """Read the name of a node. uWSGI reads whatever follows the comma as some number; here it must be one.

    Raises:
        TargetError: if the address is none, or the modifier is not a number from 0 to 255.
    """
    name, comma, modifier = text.partition(",")
    if name != name.strip():
        raise TargetError(f"{text!r} begins or ends with a blank")
    try:
        address = parse_address(name)
    except AddressError as exc:
        raise TargetError(f"{text!r} is no address: {exc}") from exc
    if not comma:
        return Target(name, address)
    if (
        not (modifier.isascii() and modifier.isdigit() and len(modifier) <= 3)
        or int(modifier) > 255
    ):
        raise TargetError(f"{text!r}: the modifier {modifier!r} is not a number from 0 to 255")
    return Target(name, address, int(modifier))
