"""From the text in a configuration to bound sockets."""

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import (
    BindError,
    BoundSocket,
    bind_datagram,
    bind_shared,
    bind_stream,
)

Stream = Callable[..., list[BoundSocket]]


@pytest.fixture
def made() -> Iterator[list[BoundSocket]]:
    """Everything that a test bound, closed afterwards."""
    bound: list[BoundSocket] = []
    yield bound
    for one in bound:
        one.close()


@pytest.fixture
def stream(made: list[BoundSocket]) -> Stream:
    def bind(
        text: str,
        process: ProcessConfig | None = None,
        inherited: Inherited | None = None,
        shared: list[BoundSocket] | None = None,
        server_first: bool = False,
    ) -> list[BoundSocket]:
        made.extend(
            bound := bind_stream(
                text,
                process or ProcessConfig(),
                inherited or Inherited(),
                shared or [],
                server_first=server_first,
            )
        )
        return bound

    return bind


@pytest.fixture
def datagram(made: list[BoundSocket]) -> Stream:
    def bind(
        text: str, process: ProcessConfig | None = None, inherited: Inherited | None = None
    ) -> list[BoundSocket]:
        bound = bind_datagram(text, process or ProcessConfig(), inherited or Inherited())
        made.extend(bound)
        return bound

    return bind


def tcp_option(bound: BoundSocket, option: int) -> int:
    return bound.sock.getsockopt(socket.IPPROTO_TCP, option)


def test_a_tcp_listener_takes_connections_without_blocking(stream: Stream) -> None:
    [bound] = stream("127.0.0.1:0")
    assert bound.name == "127.0.0.1:0"
    assert bound.address == f"127.0.0.1:{bound.sock.getsockname()[1]}"
    assert not bound.inherited
    with pytest.raises(BlockingIOError):
        bound.sock.accept()
    with socket.create_connection(bound.sock.getsockname()) as client:
        client.sendall(b"x")
        accepted, peer = bound.sock.accept()
        with accepted:
            assert peer == client.getsockname()
            # What the listener was given, its connections have without another system call.
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_every_interface_is_ipv4_only_as_in_uwsgi(stream: Stream) -> None:
    [bound] = stream(":0")
    assert bound.address.startswith("0.0.0.0:")
    assert bound.name == ":0"


def test_the_ipv6_wildcard_takes_ipv4_clients_too(stream: Stream) -> None:
    [bound] = stream("[::]:0")
    port = bound.sock.getsockname()[1]
    assert bound.address == f"[::]:{port}"
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port)).close()


def test_an_ipv6_address_is_itself_only(stream: Stream) -> None:
    [bound] = stream("[::1]:0")
    assert bound.address == f"[::1]:{bound.sock.getsockname()[1]}"


def test_a_host_name_is_every_address_of_it(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = stream("127.0.0.1:0")
    port = first.sock.getsockname()[1]
    first.close()

    def resolve(host: str, port: int, **_: object) -> list[object]:
        assert host == "router.internal"
        v4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        v6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))
        not_here = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::7", port, 0, 0))
        return [v4, v4, not_here, v6]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    bound = stream(f"router.internal:{port}")
    assert [one.address for one in bound] == [f"127.0.0.1:{port}", f"[::1]:{port}"]
    # On "any free port" two addresses would mean two ports.
    assert len(stream("router.internal:0")) == 1


def test_defer_accept_can_be_turned_off_and_is_off_where_we_write_first(stream: Stream) -> None:
    defer = socket.TCP_DEFER_ACCEPT
    assert tcp_option(stream("127.0.0.1:0")[0], defer) > 0
    assert tcp_option(stream("127.0.0.1:0", server_first=True)[0], defer) == 0
    assert tcp_option(stream("127.0.0.1:0", ProcessConfig(defer_accept=False))[0], defer) == 0


def test_socket_options_of_the_configuration_are_set(stream: Stream) -> None:
    process = ProcessConfig(reuse_port=True, so_keepalive=True, so_sndbuf=40_000, so_rcvbuf=50_000)
    [bound] = stream("127.0.0.1:0", process)
    level = socket.SOL_SOCKET
    assert bound.sock.getsockopt(level, socket.SO_REUSEPORT) == 1
    assert bound.sock.getsockopt(level, socket.SO_KEEPALIVE) == 1
    # The kernel doubles what it is asked for.
    assert bound.sock.getsockopt(level, socket.SO_SNDBUF) == 80_000
    assert bound.sock.getsockopt(level, socket.SO_RCVBUF) == 100_000
    [again] = stream(bound.address, process)
    assert again.address == bound.address


@pytest.mark.parametrize("host", ["203.0.113.9", "[2001:db8::9]"])
def test_freebind_takes_an_address_that_no_interface_has_yet(stream: Stream, host: str) -> None:
    with pytest.raises(BindError, match="no interface has it"):
        stream(f"{host}:0")
    [bound] = stream(f"{host}:0", ProcessConfig(freebind=True))
    assert bound.address.startswith(host)


def test_a_taken_port_is_one_line_with_what_to_do(stream: Stream) -> None:
    [bound] = stream("127.0.0.1:0")
    port = bound.sock.getsockname()[1]
    with pytest.raises(BindError) as caught:
        stream(f"127.0.0.1:{port}")
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: address already in use; "
        f"`ss -lntup sport = :{port}` names who has it"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("127.0.0.1:http", "port 'http' is not a number"),
        ("", "the address is empty"),
        ("no-such-host.invalid:80", "the name no-such-host.invalid has no address"),
        ("/no/such/directory/s", "its directory does not exist; create it"),
        ("=2", "there are 0 shared-socket lines, counted from 0"),
        ("fd://987654", "descriptor 987654 is not an open socket"),
        ("fd://x", "an inherited descriptor is written fd://N"),
    ],
)
def test_what_cannot_be_listened_on_is_told(stream: Stream, text: str, reason: str) -> None:
    with pytest.raises(BindError) as caught:
        stream(text)
    assert str(caught.value).startswith(f"cannot listen on {text}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_unix_listener_gets_mode_and_owner_and_takes_its_file_along(
    stream: Stream, tmp_path: Path
) -> None:
    path = tmp_path / "router.sock"
    owner = f"{os.getuid()}:{os.getgid()}"
    [bound] = stream(str(path), ProcessConfig(chmod_socket=0o660, chown_socket=owner))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert bound.address == bound.name == str(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    bound.close()
    assert not path.exists()


def test_a_unix_listener_that_fails_leaves_no_file(stream: Stream, tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    with pytest.raises(BindError, match="chown-socket = nobody-here: no such user or group"):
        stream(str(path), ProcessConfig(chown_socket="nobody-here"))
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced_and_a_living_one_is_not(
    stream: Stream, tmp_path: Path
) -> None:
    path = str(tmp_path / "router.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    stream(path)
    with pytest.raises(BindError, match=f"cannot listen on {path}: another process listens there"):
        stream(path)


def test_a_file_that_is_not_a_socket_is_kept(
    stream: Stream, datagram: Stream, tmp_path: Path
) -> None:
    path = tmp_path / "settings.py"
    path.write_text("SECRET = 1")
    for bind in (stream, datagram):
        with pytest.raises(BindError, match="a file that is not a socket is there"):
            bind(str(path))
    assert path.read_text() == "SECRET = 1"


def test_an_abstract_name_ends_in_a_nul_as_in_uwsgi(stream: Stream) -> None:
    name = f"router-test-{os.getpid()}"
    [bound] = stream(f"@{name}")
    assert bound.sock.getsockname() == b"\0" + name.encode() + b"\0"
    assert bound.address == f"@{name}"
    with pytest.raises(BindError, match="another process has this name"):
        stream(f"@{name}")


def test_an_inherited_socket_is_used_instead_of_binding(stream: Stream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        port = theirs.getsockname()[1]
        inherited = Inherited([theirs])
        [bound] = stream(f"127.0.0.1:{port}", inherited=inherited)
        assert bound.sock is theirs
        assert bound.inherited
        assert bound.name == f"127.0.0.1:{port}"
        assert not inherited.unused()
        with pytest.raises(BindError, match="address already in use"):
            stream(f"127.0.0.1:{port}", inherited=inherited)


def test_the_file_of_an_inherited_unix_socket_stays(stream: Stream, tmp_path: Path) -> None:
    path = tmp_path / "systemd.sock"
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        # Bound, but it does not listen yet: that is for us to do.
        [bound] = stream(str(path), inherited=Inherited([theirs]))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        bound.close()
    assert path.exists()


def test_an_inherited_descriptor_is_taken_by_number(stream: Stream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        inherited = Inherited([theirs])
        [bound] = stream(f"fd://{theirs.fileno()}", inherited=inherited)
        assert bound.inherited
        assert bound.address == f"127.0.0.1:{theirs.getsockname()[1]}"
        assert not inherited.unused()


def test_a_descriptor_that_nobody_announced_is_taken_by_number_too(stream: Stream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        [bound] = stream(f"fd://{os.dup(theirs.fileno())}")
        assert bound.address == f"127.0.0.1:{theirs.getsockname()[1]}"


def test_a_datagram_descriptor_is_no_listener(stream: Stream) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
        pytest.raises(BindError, match="is not a stream socket"),
    ):
        stream(f"fd://{theirs.fileno()}")


def test_shared_sockets_are_addressed_by_number_and_listen_for_several(
    stream: Stream, made: list[BoundSocket], tmp_path: Path
) -> None:
    path = tmp_path / "shared.sock"
    process = ProcessConfig(shared_sockets=("127.0.0.1:0", str(path)))
    shared = bind_shared(process, Inherited())
    made.extend(shared)
    [first] = stream("=1", shared=shared)
    [second] = stream("=1", shared=shared)
    assert first.sock.fileno() != second.sock.fileno()
    assert first.name == second.name == str(path)
    first.close()
    assert path.exists()
    with pytest.raises(BindError, match="there are 2 shared-socket lines"):
        stream("=2", shared=shared)


def test_shared_sockets_are_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "shared.sock"
    process = ProcessConfig(shared_sockets=(str(path), "/no/such/directory/s"))
    with pytest.raises(BindError, match="/no/such/directory/s"):
        bind_shared(process, Inherited())
    assert not path.exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_udp_is_received_without_blocking(datagram: Stream, host: str) -> None:
    bound = datagram(f"{host}:0")[0]
    with pytest.raises(BlockingIOError):
        bound.sock.recvfrom(10)
    with socket.socket(bound.sock.family, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", bound.sock.getsockname())
    assert bound.sock.recvfrom(10)[0] == b"hello"


def test_a_udp_port_is_not_taken_from_another_process(datagram: Stream) -> None:
    [bound] = datagram("127.0.0.1:0")
    with pytest.raises(BindError, match="cannot receive datagrams on 127"):
        datagram(bound.address)


def test_a_datagram_name_without_an_address_is_told(datagram: Stream) -> None:
    with pytest.raises(BindError, match="cannot receive datagrams on no-such-host"):
        datagram("no-such-host.invalid:80")


def test_a_multicast_group_is_joined(datagram: Stream) -> None:
    [first] = datagram("239.255.77.7:0")
    [second] = datagram(first.address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        client.sendto(b"hello", first.sock.getsockname())
    for bound in (first, second):
        bound.sock.settimeout(5)
        assert bound.sock.recv(10) == b"hello"


def test_an_ipv6_multicast_group_is_joined(datagram: Stream) -> None:
    [bound] = datagram("[ff05::7757]:0")
    with open("/proc/self/net/igmp6", encoding="ascii") as file:
        assert "ff050000000000000000000000007757" in file.read()
    assert bound.address.startswith("[ff05::7757]:")


def test_a_link_local_address_without_its_interface_is_explained(datagram: Stream) -> None:
    with pytest.raises(BindError, match="a link-local address needs its interface"):
        datagram("[ff02::7757]:0")


def test_the_broadcast_address_can_be_bound(datagram: Stream) -> None:
    [bound] = datagram("255.255.255.255:0")
    assert bound.sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST) == 1


def test_a_unix_datagram_socket_replaces_a_stale_one_and_takes_its_file_along(
    datagram: Stream, tmp_path: Path
) -> None:
    path = tmp_path / "table.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))
    [bound] = datagram(str(path))
    with pytest.raises(BindError, match="another process listens there"):
        datagram(str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", str(path))
    assert bound.sock.recv(10) == b"hello"
    bound.close()
    assert not path.exists()


def test_a_unix_datagram_name_with_an_at_sign_is_a_file_as_in_uwsgi(
    datagram: Stream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    datagram("@table")
    assert (tmp_path / "@table").is_socket()


def test_an_inherited_datagram_socket_is_used(datagram: Stream) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("127.0.0.1", 0))
        text = f"127.0.0.1:{theirs.getsockname()[1]}"
        [bound] = datagram(text, inherited=Inherited([theirs]))
        assert bound.sock is theirs
        assert bound.inherited
