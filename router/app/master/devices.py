"""Devices of the master: TUN devices, which last as long as somebody has them open, whoever of the children ends."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from uwsgi_router.router.jails.tuntap.device import open_tun


@dataclass(slots=True)
class HeldDevice:
    """TUN device.

    Attributes:
        descriptor: open.
        name: in which the kernel has replaced ``%d``.
        users: who uses it.
    """

    descriptor: int
    name: str
    users: set[str] = field(default_factory=set)


class MasterDevices:
    """TUN devices of the master, by the names that they were asked for by."""

    def __init__(self) -> None:
        self._devices: dict[str, HeldDevice] = {}

    def open(self, asked: str, user: str) -> HeldDevice:
        """Return a device, opened if nobody had it before.

        Raises:
            StartError: it can't be opened.
        """
        device = self._devices.get(asked)
        if device is None:
            device = self._devices[asked] = HeldDevice(*open_tun(asked))
        device.users.add(user)
        return device

    def release(self, staying: Collection[str]) -> None:
        """Close those that none of these uses."""
        for asked, device in list(self._devices.items()):
            device.users &= set(staying)
            if not device.users:
                os.close(self._devices.pop(asked).descriptor)

    def close(self) -> None:
        """Close all of them."""
        self.release(())

    def state(self) -> list[Any]:
        """Return what :meth:`restore` needs after an exec."""
        return [
            [asked, one.descriptor, one.name, sorted(one.users)]
            for asked, one in self._devices.items()
        ]

    def restore(self, state: list[Any]) -> None:
        """Go on with those that were there before an exec."""
        for asked, descriptor, name, users in state:
            os.set_inheritable(descriptor, False)
            self._devices[asked] = HeldDevice(descriptor, name, set(users))

    def descriptors(self) -> Iterator[int]:
        """Yield the numbers of all that is open."""
        for device in self._devices.values():
            yield device.descriptor
