"""Command ``tuntap-device``: connects a TUN device of this name space to a tuntap router, ours or uWSGI's.

The exit status is 0 at SIGTERM or SIGINT, 1 if the device can't be had, 2 for a command line that makes no sense.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys

from uwsgi_router.protocol.address import AddressError, UnixAddress, parse_address
from uwsgi_router.protocol.tuntap import DeviceRule, encode_rules
from uwsgi_router.router.cli import commands
from uwsgi_router.router.cli.commands import failed
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.tuntap_values import parse_device_rule
from uwsgi_router.router.core.log import LineFormatter
from uwsgi_router.router.jails.tuntap.client import TunDeviceClient
from uwsgi_router.router.jails.tuntap.device import open_tun


def main(args: list[str]) -> int:
    """Move packets until a signal; return the exit status."""
    parsed = arguments().parse_args(args)
    try:
        rules = [parse_device_rule(text) for text in parsed.rule]
        encode_rules(rules)
        address = parse_address(parsed.socket)
        if not isinstance(address, UnixAddress):
            raise AddressError(f"expected the path of a UNIX socket, not {parsed.socket}")
    except (AddressError, ValueError) as exc:
        return failed("tuntap-device", exc, 2)
    try:
        tun, name = open_tun(parsed.device)
    except StartError as exc:
        return failed("tuntap-device", exc)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(dated=False))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    print(name, flush=True)
    asyncio.run(_serve(tun, address, rules, use_credentials=parsed.credentials))
    os.close(tun)
    return 0


def arguments() -> argparse.ArgumentParser:
    """Return the parser of its command line."""
    parser = commands.parser(
        "tuntap-device",
        "Have a TUN device, for as long as this runs, and move its packets to and from a tuntap router. Run it inside"
        " the network name space that gets the device; give the device its address with ip or ifconfig, once its name"
        " has been printed.",
        "Exit status: 0 when it was told to end, 1 if the device can't be had, 2 for wrong use.",
        ("ip netns exec vassal uwsgi-router tuntap-device uwsgi0 /run/tuntap.sock",),
    )
    parser.add_argument("device", help="its name; %%d becomes a number")
    parser.add_argument("socket", help="of the tuntap router")
    parser.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="RULE",
        help="tell the router 'in|out SRC DST allow|deny|gateway [TARGET]' (may be repeated)",
    )
    parser.add_argument(
        "--credentials", action="store_true", help="the router has tuntap-use-credentials"
    )
    return parser


async def _serve(
    tun: int, address: UnixAddress, rules: list[DeviceRule], *, use_credentials: bool
) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    client = TunDeviceClient(tun, address.path, rules, loop=loop, use_credentials=use_credentials)
    client.start()
    await over.wait()
    client.stop()
