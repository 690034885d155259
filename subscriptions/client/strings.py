"""Parsers of uWSGI's option strings ``subscribe-to`` and ``subscribe2`` (uWSGI: core/subscription.c).

They are read as uWSGI's manual means them. What uWSGI drops or misreads in silence is an error here.
"""

import difflib
import re
from typing import Final

from uwsgi_router.protocol.subscription import Proto
from uwsgi_router.subscriptions.client.announcement import Announcement, announcement
from uwsgi_router.subscriptions.client.errors import SubscribeError

_NAMES: Final = (
    "server", "key", "addr", "address", "socket", "weight", "modifier1", "modifier2", "sign", "check", "proto",
    "algo", "backup", "vassal", "inactive", "sni_key", "sni_crt", "sni_ca",
)  # fmt: skip
_COMMA = re.compile(r"(?<!\\),")


def subscribe_to(
    text: str,
    *,
    address: str | None = None,
    weight: int | None = None,
    protocol: str | None = None,
    default_protocol: Proto = "uwsgi",
) -> Announcement:
    """Read ``[ADDRESS=]SERVER:KEY[,MODIFIER1[,DIGEST:KEYFILE]]`` or ``[ADDRESS=]SERVER:@FILE``.

    Args:
        text: the option's value. SERVER is ``host:port`` or an absolute path.
        address: announced if the string names none.
        weight: uWSGI has it in another option.
        protocol: what the node speaks.
        default_protocol: what it speaks if neither that nor its address says so.

    Raises:
        SubscribeError: with what is wrong.
    """
    where = f"subscribe-to {text!r}"
    own, equals, rest = text.partition("=")
    if equals:
        if not own:
            raise SubscribeError(
                f"{where}: =N= means a shared socket of uWSGI's, and there is none here: write its address"
            )
        address = own
    else:
        rest = text
    server, key = _server_and_key(rest, where)
    if key.startswith("@"):
        return announcement(
            server,
            key_file=key[1:],
            address=address,
            balancing_weight=weight,
            protocol=protocol,
            default_protocol=default_protocol,
        )
    key, _, options = key.partition(",")
    modifier, _, signing = options.partition(",")
    return announcement(
        server,
        key=key,
        address=address,
        balancing_weight=weight,
        modifier=_number(modifier, "modifier1", where) if modifier else None,
        signing=signing or None,
        protocol=protocol,
        default_protocol=default_protocol,
    )


def subscribe2(
    text: str,
    *,
    address: str | None = None,
    weight: int | None = None,
    protocol: str | None = None,
    default_protocol: Proto = "uwsgi",
) -> Announcement:
    r"""Read ``server=…,key=…,addr=…``; a backslash before a comma makes it part of the value.

    Args:
        text: the option's value.
        address: announced if the string names none.
        weight: likewise.
        protocol: likewise.
        default_protocol: what the node speaks if nothing says so.

    Raises:
        SubscribeError: with what is wrong.
    """
    where = f"subscribe2 {text!r}"
    values: dict[str, str] = {}
    for part in _COMMA.split(text):
        name, equals, value = part.partition("=")
        if not equals:
            raise SubscribeError(f"{where}: {part!r} is not NAME=VALUE")
        if name not in _NAMES:
            near = difflib.get_close_matches(name, _NAMES, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SubscribeError(f"{where}: there is no {name!r}{hint}")
        values[name] = value.replace("\\,", ",")
    for name, hint in (
        ("socket", "means a socket of uWSGI's, and there is none here: write addr=HOST:PORT"),
        ("inactive", "starts nodes on demand, which is not supported"),
    ):
        if name in values:
            raise SubscribeError(f"{where}: {name} {hint}")
    return announcement(
        values.get("server"),
        key=values.get("key"),
        address=values.get("addr") or values.get("address") or address,
        address_vassal=values.get("vassal"),
        balancing_weight=_number(values["weight"], "weight", where)
        if "weight" in values
        else weight,
        balancing_algo=values.get("algo"),
        backup=_number(values.get("backup", "0"), "backup", where),
        modifier=(
            _number(values.get("modifier1", "0"), "modifier1", where),
            _number(values.get("modifier2", "0"), "modifier2", where),
        ),
        signing=values.get("sign"),
        check_file=values.get("check"),
        protocol=values.get("proto") or protocol,
        default_protocol=default_protocol,
        sni_cert=values.get("sni_crt"),
        sni_key=values.get("sni_key"),
        sni_client_ca=values.get("sni_ca"),
    )


def _server_and_key(text: str, where: str) -> tuple[str, str]:
    if text.startswith("/"):
        server, colon, key = text.partition(":")
    else:
        # The brackets of an IPv6 address hold colons of their own.
        bracket = text.find("]") + 1
        host, _, rest = text[bracket:].partition(":")
        port, colon, key = rest.partition(":")
        server = f"{text[:bracket]}{host}:{port}"
    if not colon:
        raise SubscribeError(f"{where}: write SERVER:KEY, as 127.0.0.1:3032:example.com")
    return server, key


def _number(text: str, name: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise SubscribeError(f"{where}: {name} {text!r} is not a number")
    return int(text)
