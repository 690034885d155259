"""Address and environment of a copy: a fresh port or UNIX socket, told in the words that servers know."""

import os
import random
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from uwsgi_router.protocol.address import InetAddress, parse_address
from uwsgi_router.subscriptions.client.errors import SubscribeError

_LOOPBACK: Final = "127.0.0.1"
#: What commands may say; each stands for the copy's address, or a part of it.
SOCKET: Final = "{socket}"
INET: Final = ("{address}", "{host}", "{port}")
# Variables in which servers look for a port, and for the address to listen at. fastapi and gunicorn: PORT.
_PORTS: Final = ("PORT", "UVICORN_PORT", "GRANIAN_PORT", "FLASK_RUN_PORT", "NOMAD_PORT_http")
_HOSTS: Final = ("UVICORN_HOST", "GRANIAN_HOST", "FLASK_RUN_HOST")
# Below what the kernel takes for connections that go out, or one of those may sit there meanwhile.
_RANGE: Final = (20_000, 32_000)
_TRIES: Final = 200
# The longest path of a UNIX socket, without its final zero.
_LONGEST: Final = 107


@dataclass(frozen=True, slots=True)
class CopyAddress:
    """Address of one copy.

    Attributes:
        text: as it is announced.
        arguments: the command with its placeholders filled in.
        variables: for its environment.
    """

    text: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str]


def address_for(
    command: Sequence[str], directory: str, name: str, taken: Collection[int] = ()
) -> CopyAddress:
    """Choose an address for a copy, fresh at each start.

    Args:
        command: says ``{socket}``, or anything else.
        directory: for sockets.
        name: of the copy.
        taken: ports that others have been given.

    Raises:
        SubscribeError: the command wants both a socket and a port.
    """
    if any(SOCKET in word for word in command):
        mixed = next((one for one in INET for word in command if one in word), None)
        if mixed is not None:
            raise SubscribeError(f"{SOCKET} and {mixed} stand for different addresses: write one")
        path = os.path.join(directory, f"{name}.sock")
        if len(os.fsencode(path)) > _LONGEST:
            raise SubscribeError(f"{path} is too long for a UNIX socket: TMPDIR may be shorter")
        return CopyAddress(path, tuple(word.replace(SOCKET, path) for word in command), {})
    port = free_port(taken)
    address = f"{_LOOPBACK}:{port}"
    values = {"{address}": address, "{host}": _LOOPBACK, "{port}": str(port)}
    filled = list(command)
    for word, value in values.items():
        filled = [argument.replace(word, value) for argument in filled]
    return CopyAddress(address, tuple(filled), told(port, says_it=filled != list(command)))


def told(port: int, *, says_it: bool) -> dict[str, str]:
    """Return the variables that tell servers their port.

    Args:
        port: of the copy.
        says_it: the command does so itself; then what would override configuration files is left out.
    """
    found = dict.fromkeys(_PORTS, str(port))
    if not says_it:
        found |= dict.fromkeys(_HOSTS, _LOOPBACK)
        # With PORT alone it would listen on every interface.
        found["GUNICORN_CMD_ARGS"] = f"--bind={_LOOPBACK}:{port}"
    return found


def free_port(taken: Collection[int] = ()) -> int:
    """Return a port of the loopback that nobody uses now, and that was not given to anybody else.

    Raises:
        SubscribeError: none was found.
    """
    for port in random.sample(range(*_RANGE), _TRIES):
        if port in taken:
            continue
        with socket.socket() as probe:
            # No REUSEADDR: a port whose last connections have just ended is not taken.
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
            return port
    raise SubscribeError(f"no free port from {_RANGE[0]} to {_RANGE[1]}")


def environment_of(
    base: Mapping[str, str], own: Mapping[str, str], address: CopyAddress
) -> dict[str, str]:
    """Return the environment of a copy.

    Args:
        base: ours.
        own: what the application's plan adds.
        address: of the copy.
    """
    made = {name: value for name, value in base.items() if name not in _OURS}
    cmd_args = made.get("GUNICORN_CMD_ARGS")
    made |= address.variables
    if cmd_args and "GUNICORN_CMD_ARGS" in address.variables:
        made["GUNICORN_CMD_ARGS"] = f"{cmd_args} {address.variables['GUNICORN_CMD_ARGS']}"
    # What a program prints is to be seen when it prints it.
    made.setdefault("PYTHONUNBUFFERED", "1")
    if not isinstance(parse_address(address.text), InetAddress):
        # Clients of a UNIX socket have no address that could be believed.
        made.setdefault("FORWARDED_ALLOW_IPS", "*")
    return made | dict(own)


# Meant for us, by systemd.
_OURS: Final = frozenset({"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC",
                          "WATCHDOG_PID"})  # fmt: skip
