"""The tuntap router in network name spaces: vassals with uWSGI's device and ours, the firewall, a new start."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.lab import programs
from tests.lab.clients import Client, connected
from tests.lab.leftovers import leaves_nothing_behind
from tests.lab.namespaces import Namespace, namespaces, need_namespaces, python_home
from tests.lab.place import Place
from tests.lab.processes import Process, run
from tests.lab.waiting import wait_until
from tests.router.jails.tuntap.packets import packet
from uwsgi_router.protocol.tuntap import frame_header

pytestmark = pytest.mark.peers

ROUTER, ONE, TWO = "10.77.0.1", "10.77.0.2", "10.77.0.3"
ROUTER6, ONE6 = "fd77::1", "fd77::2"

#: Sends itself a datagram over there, and compares what comes back.
ECHO = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.socket(family, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 7007))
while True:
    data, sender = server.recvfrom(9999)
    server.sendto(data, sender)
"""
ASK = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sock = socket.socket(family, socket.SOCK_DGRAM)
sock.settimeout(0.5)
sock.connect((sys.argv[1], 7007))
for number in range(int(sys.argv[2])):
    try:
        sock.send(b"%d" % number)
        # Maybe of one that came late.
        print(int(sock.recv(999)) <= number)
        break
    except OSError:
        continue
else:
    print("nothing")
"""
#: An echo request of ICMP, as ping sends it.
PING = """
import socket, struct, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
sock.settimeout(1)
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
for number in range(20):
    head = struct.pack("!BBHHH", 8, 0, 0, 77, number)
    body = b"ping"
    head = struct.pack("!BBHHH", 8, 0, checksum(head + body), 77, number)
    sock.sendto(head + body, (sys.argv[1], 0))
    try:
        while True:
            answer = sock.recv(999)[20:]
            if answer[0] == 0 and answer[4:6] == b"\\0\\x4d":
                print("pong")
                raise SystemExit
    except TimeoutError:
        continue
"""
#: Takes one connection, and returns the length of all that came, and as much of its own.
SINK = """
import socket, sys
server = socket.create_server((sys.argv[1], 7008))
print("listening", flush=True)
while True:
    client, _ = server.accept()
    size = 0
    while data := client.recv(65536):
        size += len(data)
    client.sendall(b"%d\\n" % size + bytes(size))
    client.close()
"""
BULK = """
import socket, sys
size = int(sys.argv[2])
with socket.create_connection((sys.argv[1], 7008), 30) as sock:
    sock.sendall(bytes(size))
    sock.shutdown(socket.SHUT_WR)
    answer = b"".join(iter(lambda: sock.recv(65536), b""))
print(answer == b"%d\\n" % size + bytes(size))
"""


class Net:
    """A router's name space and two vassals'."""

    def __init__(self, place: Place, spaces: list[Namespace]) -> None:
        self.place = place
        self.host, self.one, self.two = spaces
        self.socket = str(place.directory / "tun.sock")
        self.stats = str(place.directory / "tun-stats.sock")
        place.directory.chmod(0o755)

    @cached_property
    def home(self) -> dict[str, str]:
        return python_home(self.place.directory)

    def router(self, *options: str) -> Process:
        argv = [*self.host.inside, programs.uwsgi_router()]
        argv += [f"--tuntap-router=emp0 {self.socket} {self.stats}", "--chmod-socket=666"]
        router = self.place.program("router", *argv, *options, env={"NOTIFY_SOCKET": None})
        self.host.up("emp0", f"{ROUTER}/24", f"{ROUTER6}/64")
        return router

    def uwsgis_router(self) -> Process:
        argv = [*self.host.inside, programs.uwsgi(), *programs.uwsgi_plugins("tuntap"), "--master"]
        argv += ["--uid=1234", "--gid=1234", "--chmod-socket=666"]
        argv += [f"--tuntap-router=emp0 {self.socket}"]
        router = self.place.program("uwsgi", *argv, env={"NOTIFY_SOCKET": None, **self.home})
        self.host.up("emp0", f"{ROUTER}/24")
        wait_until(lambda: Path(self.socket).exists(), "it listens")
        return router

    def ours(self, space: Namespace, *addresses: str, options: tuple[str, ...] = ()) -> Process:
        argv = [*space.inside, programs.uwsgi_router(), "tuntap-device", "uw0", self.socket]
        device = self.place.program(f"device-{space.name}", *argv, *options)
        space.up("uw0", *(f"{one}/{64 if ':' in one else 24}" for one in addresses))
        return device

    def uwsgis(self, space: Namespace, address: str, *options: str) -> Process:
        # Its router closes the connection at an IPv6 packet, which is what the kernel sends first.
        space.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        space.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        argv = [*space.inside, programs.uwsgi(), *programs.uwsgi_plugins("tuntap"), "--master"]
        argv += ["--uid=1234", "--gid=1234", "--jailed", "--need-app=false"]
        argv += [f"--socket={self.place.directory}/{space.name}.sock", "--chown-socket=1234"]
        argv += [f"--tuntap-device=uw0 {self.socket}", *options]
        env = {"NOTIFY_SOCKET": None, **self.home}
        device = self.place.program(f"uwsgi-{space.name}", *argv, env=env)
        space.up("uw0", f"{address}/24")
        return device

    def echo(self, space: Namespace, address: str) -> None:
        argv = [*space.inside, sys.executable, "-c", ECHO, address]
        self.place.program(f"echo-{space.name}-{len(address)}", *argv)

    def answers(self, space: Namespace, address: str, tries: int = 40) -> bool:
        """Whether a datagram from there comes back."""
        return space.python(ASK, address, str(tries)) == "True\n"

    def bulk(self, space: Namespace, to: Namespace, address: str, size: int) -> bool:
        """Whether so many bytes of TCP get there and back."""
        argv = [*to.inside, sys.executable, "-c", SINK, address]
        sink = self.place.program(f"sink-{to.name}", *argv)
        sink.wait_for_output("listening")
        done = space.python(BULK, address, str(size)) == "True\n"
        sink.kill()
        return done

    def document(self) -> dict[str, Any]:
        with Client(self.stats) as client:
            found: dict[str, Any] = json.loads(client.rest())
        return found


@pytest.fixture
def net(lab: Place) -> Iterator[Net]:
    need_namespaces()
    with namespaces("host", "one", "two") as spaces:
        yield Net(lab, spaces)
        # What runs in them ends before them.
        lab.end_all()


@pytest.mark.parametrize("who", ["ours", "uwsgis"])
def test_a_vassal_and_the_host_reach_each_other(net: Net, who: str) -> None:
    router = net.router()
    getattr(net, who)(net.one, ONE)
    net.echo(net.host, ROUTER)
    net.echo(net.one, ONE)
    assert net.answers(net.one, ROUTER)
    assert net.answers(net.host, ONE)
    assert net.one.python(PING, ROUTER) == net.host.python(PING, ONE) == "pong\n"
    assert net.bulk(net.one, net.host, ROUTER, 3_000_000)
    assert net.bulk(net.host, net.one, ONE, 3_000_000)
    (peer,) = net.document()["peers"]
    assert peer["addr"] == ONE
    assert not any(peer["refused"].values())
    router.signal(signal.SIGTERM)
    assert router.wait() == 0
    wait_until(lambda: not net.host.has("emp0"), "the device is gone")


def test_ipv6_too(net: Net) -> None:
    net.router()
    net.ours(net.one, ONE, ONE6)
    net.echo(net.host, ROUTER6)
    net.echo(net.one, ONE6)
    assert net.answers(net.one, ROUTER6)
    assert net.answers(net.host, ONE6)
    assert net.answers(net.one, ROUTER6)


def test_our_device_works_with_uwsgis_router(net: Net) -> None:
    net.uwsgis_router()
    # With IPv6 on, of which uWSGI's router would close the connection.
    net.ours(net.one, ONE)
    net.echo(net.host, ROUTER)
    net.echo(net.one, ONE)
    assert net.answers(net.one, ROUTER)
    assert net.answers(net.host, ONE)
    assert net.bulk(net.one, net.host, ROUTER, 100_000)


@pytest.mark.parametrize("who", ["ours", "uwsgis"])
def test_credentials_are_asked_for_and_given(net: Net, who: str) -> None:
    net.router("--tuntap-use-credentials")
    if who == "ours":
        net.ours(net.one, ONE, options=("--credentials",))
    else:
        net.uwsgis(net.one, ONE, "--tuntap-use-credentials=true")
    net.echo(net.host, ROUTER)
    assert net.answers(net.one, ROUTER)
    (peer,) = net.document()["peers"]
    assert peer["uid"] == (0 if who == "ours" else 1234)


def test_the_firewall_of_uwsgis_documentation(net: Net) -> None:
    out = (
        "allow 10.77.0.0/24 10.77.0.1",
        "deny 10.77.0.0/24 10.77.0.0/24",
        "allow 10.77.0.0/24 0.0.0.0",
        "deny",
    )
    inward = (
        "allow 10.77.0.1 10.77.0.0/24",
        "deny 10.77.0.0/24 10.77.0.0/24",
        "allow 0.0.0.0 10.77.0.0/24",
        "deny",
    )
    net.router(
        *(f"--tuntap-router-firewall-out={rule}" for rule in out),
        *(f"--tuntap-router-firewall-in={rule}" for rule in inward),
    )
    net.host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    # The internet, here.
    net.host.run("ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
    for space, address in ((net.one, ONE), (net.two, TWO)):
        net.ours(space, address)
        space.run("ip", "route", "add", "default", "via", ROUTER)
        net.echo(space, address)
    net.echo(net.host, ROUTER)
    net.echo(net.host, "192.0.2.1")
    assert net.answers(net.one, ROUTER)
    assert net.answers(net.two, ROUTER)
    assert net.answers(net.one, "192.0.2.1")
    assert net.answers(net.host, TWO)
    assert not net.answers(net.one, TWO, tries=2)
    refused = [peer["refused"]["firewall"] for peer in net.document()["peers"]]
    assert max(refused) >= 2


def test_two_vassals_reach_each_other_through_the_host(net: Net) -> None:
    net.router()
    net.host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    net.ours(net.one, ONE)
    net.uwsgis(net.two, TWO)
    net.echo(net.two, TWO)
    net.echo(net.host, ROUTER)
    # Nothing reaches a vassal before it has sent something.
    assert net.answers(net.two, ROUTER)
    assert net.answers(net.one, TWO)
    assert net.bulk(net.one, net.two, TWO, 1_000_000)


def test_a_router_that_died_comes_back_with_its_device(net: Net) -> None:
    router = net.router()
    device = net.ours(net.one, ONE)
    net.echo(net.host, ROUTER)
    assert net.answers(net.one, ROUTER)
    os.kill(net.document()["pid"], signal.SIGKILL)
    router.wait_for_output("has ended (signal 9, SIGKILL), it starts again at once")
    device.wait_for_output("the router has closed the connection")
    # With the addresses that were given it: the device was never gone.
    assert net.answers(net.one, ROUTER)


def test_a_thousand_connections_leave_nothing_behind(net: Net) -> None:
    """Each has an address, which it sends from once, and half of them end inside a frame."""
    net.router()
    pid = net.document()["pid"]

    def drop(count: int) -> None:
        for start in range(0, count, 100):
            devices = [connected(net.socket) for _ in range(100)]
            for number, device in enumerate(devices):
                data = packet(f"10.77.{1 + (start + number) // 200}.{number + 1}", ROUTER)
                sent = frame_header(len(data)) + data
                device.sendall(sent if number % 2 else sent + sent[:7])
            wait_until(lambda: len(net.document()["peers"]) == 100, "all are known")
            for device in devices:
                device.close()
            wait_until(lambda: not net.document()["peers"], "all are forgotten")

    leaves_nothing_behind(pid, drop)


def test_a_jail_with_a_network_and_a_shell(net: Net) -> None:
    """As the documentation has it: one file inside, one outside."""
    net.router()
    pty = str(net.place.directory / "pty.sock")
    inside = net.place.directory / "inside.ini"
    inside.write_text(
        f"[uwsgi]\ntuntap-device = uw0 {net.socket}\nforkptyurouter = {pty}\nforkptyrouter-command = exec /bin/sh -i\n"
    )
    jail = net.place.program("jail", *net.one.inside, programs.uwsgi_router(), str(inside))
    jail.wait_for_output("is ready")
    net.echo(net.host, ROUTER)
    commands = f"ip addr add {ONE}/24 dev uw0; ip link set uw0 up; ip -brief addr show uw0; exit\n"
    done = subprocess.run(
        [programs.uwsgi_router(), "pty", pty],
        input=commands, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert f" {ONE}/24" in done.stdout.splitlines()[-2]
    assert net.answers(net.one, ROUTER)
    jail.signal(signal.SIGTERM)
    assert jail.wait() == 0
    wait_until(lambda: not net.one.has("uw0"), "its device is gone")


def test_a_jail_of_our_emperor_with_uwsgis_plugins_inside(net: Net) -> None:
    """One file has an application, a device and terminals: it is uWSGI's, which has plugins for them."""
    directory = net.place.directory
    (directory / "app.py").write_text("def application(environ, start_response): pass\n")
    vassals, terminals = directory / "vassals", directory / "pty.sock"
    vassals.mkdir()
    plugins = [one.removeprefix("--") for one in programs.uwsgi_plugins("tuntap", "forkptyrouter")]
    inside = (
        *plugins,
        f"wsgi-file={directory / 'app.py'}",
        f"socket={directory / 'one.sock'}",
        "chown-socket=1234",
        "master=true",
        "jailed=true",
        "uid=1234",
        "gid=1234",
        f"tuntap-device=uw0 {net.socket}",
        f"forkptyurouter={terminals}",
        f"exec-as-root=ip addr add {ONE}/24 dev uw0 && ip link set uw0 up",
        "exec-as-root=sysctl -q net.ipv4.ping_group_range='0 65535'",
    )
    (vassals / "one.ini").write_text("\n".join(("[uwsgi]", *inside)) + "\n")
    emperor = net.router(
        f"--emperor={vassals}",
        f"--binary-path={programs.uwsgi()}",
        "--emperor-use-clone=fs,net,ipc,pid,uts",
        "--mount-as-vassal=proc none /proc",
        *(f"--env={name}={value}" for name, value in net.home.items()),
    )
    emperor.wait_for_output("one.ini: ready to accept requests")
    argv = [programs.uwsgi_router(), "pty", str(terminals), "--"]
    done = run(*argv, "ping", "-c", "1", ROUTER)
    assert " 1 received" in done.stdout
    assert [one["addr"] for one in net.document()["peers"]] == [ONE]
    emperor.signal(signal.SIGTERM)
    assert emperor.wait() == 0
