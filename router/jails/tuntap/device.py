"""TUN device: opened by name, bare IP packets."""

import errno
import fcntl
import os
import struct
from typing import Final

from uwsgi_router.router.config.errors import StartError

_PATH: Final = "/dev/net/tun"
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_REQUEST: Final = struct.Struct("16sH22x")
_HINTS: Final = {
    errno.ENOENT: "the kernel has no TUN devices (modprobe tun), or the container is not given /dev/net/tun",
    errno.EACCES: "only root may",
    errno.EPERM: "it needs root, or the capability CAP_NET_ADMIN",
    errno.EBUSY: "another program has this device",
    errno.EINVAL: "it is a device of another kind",
}


def open_tun(name: str) -> tuple[int, str]:
    """Open a TUN device, and make it if it is not there; it lasts until it is closed.

    Returns:
        The descriptor, non-blocking, and the name, in which the kernel replaces ``%d``.

    Raises:
        StartError: with the reason, and what to do.
    """
    try:
        descriptor = os.open(_PATH, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            asked = _REQUEST.pack(name.encode(), _IFF_TUN | _IFF_NO_PI)
            given = fcntl.ioctl(descriptor, _TUNSETIFF, asked)
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        hint = _HINTS.get(exc.errno or 0, "")
        text = f"{reason}; {hint}" if hint else reason
        raise StartError(f"cannot open the TUN device {name}: {text}") from exc
    return descriptor, _REQUEST.unpack(given)[0].rstrip(b"\0").decode()
