"""Network name spaces of a test, with what they need to hold a tuntap router or device."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.waiting import wait_until


def need_namespaces() -> None:
    """Skip the test where there can be no name spaces or no TUN devices."""
    if os.geteuid() != 0:
        pytest.skip("network name spaces need root")
    if shutil.which("ip") is None:
        pytest.skip("iproute2 is not there")
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("there is no /dev/net/tun")
    if subprocess.run(
        ["ip", "netns", "add", f"uwr-try-{os.getpid()}"], capture_output=True, check=False
    ).returncode:
        pytest.skip("network name spaces can't be made here")
    subprocess.run(["ip", "netns", "del", f"uwr-try-{os.getpid()}"], check=True)


class Namespace:
    """One network name space."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inside = ["ip", "netns", "exec", name]

    def run(self, *argv: str) -> str:
        """Run a program in it to its end; return what it printed."""
        done = subprocess.run(
            [*self.inside, *argv], capture_output=True, text=True, timeout=50, check=False
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def python(self, code: str, *argv: str) -> str:
        """Run these lines in it, in a Python of their own."""
        return self.run(sys.executable, "-c", code, *argv)

    def has(self, device: str) -> bool:
        return (
            os.path.exists(f"/sys/class/net/{device}")
            or not subprocess.run(
                ["ip", "-n", self.name, "link", "show", device], capture_output=True, check=False
            ).returncode
        )

    def up(self, device: str, *addresses: str) -> None:
        """Wait for a device, give it addresses, and set it up."""
        wait_until(lambda: self.has(device), f"{device} is in {self.name}")
        for address in addresses:
            more = ["nodad"] if ":" in address else []
            self.run("ip", "addr", "add", address, "dev", device, *more)
        self.run("ip", "link", "set", device, "up")


@contextmanager
def namespaces(*names: str) -> Iterator[list[Namespace]]:
    """Make name spaces, whose names get this process's number; they are gone at the end."""
    made: list[Namespace] = []
    try:
        for name in names:
            one = Namespace(f"uwr-{name}-{os.getpid()}")
            subprocess.run(["ip", "netns", "add", one.name], check=True)
            made.append(one)
            one.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        for one in made:
            subprocess.run(["ip", "netns", "del", one.name], check=False)


def python_home(directory: Path) -> dict[str, str]:
    """Environment in which an embedded Python starts as any user; a copy of its library if only root may see it."""
    library = Path(os.__file__).parent
    for path in (library, *library.parents):
        if path.stat().st_mode & 0o5 != 0o5:
            break
    else:
        return {}
    home = directory / "python"
    ignored = shutil.ignore_patterns(
        "site-packages", "test", "idlelib", "config-*", "ensurepip", "*.pyc"
    )
    shutil.copytree(library, home / "lib" / library.name, ignore=ignored)
    return {"PYTHONHOME": str(home)}
