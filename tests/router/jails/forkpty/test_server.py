"""The forkpty router at its sockets."""

import hashlib
import os
import signal
import time
from pathlib import Path

import pytest

from tests.lab.leftovers import zombies
from tests.lab.log import Log
from tests.lab.waiting import until
from tests.router.jails.forkpty.conftest import Terminals
from uwsgi_router.protocol.pty import encode_input, encode_signal, encode_window
from uwsgi_router.protocol.uwsgi import encode_header
from uwsgi_router.router.jails.forkpty.access import PtyAccess

SHELL = "/bin/sh"


def packet(data: bytes) -> bytes:
    return encode_header(0, len(data)) + data


# --- programs ---


async def test_a_client_has_a_shell_with_a_terminal_of_its_own(terminals: Terminals) -> None:
    terminals.router(None)
    client = terminals.client()
    await client.send(b"tty; echo $0 $TERM $((40 + 2)); ps -o pid=,pgid=,sid= -p $$; exit\n")
    printed = await client.rest()
    assert b"/dev/pts/" in printed
    assert b"/bin/sh xterm 42" in printed
    numbers = printed.split(b"42\r\n")[1].split()[:3]
    assert len(set(numbers)) == 1


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("/usr/bin/tty", b"/dev/pts/"),
        ('echo $((40 + 2)) "$0"', b"42 /bin/sh\r\n"),
        ("ls", b"uwsgi-router: ls can't be run on a terminal (No such file or directory)\r\n"),
    ],
)
async def test_a_command_is_a_path_or_a_line_for_the_shell(
    terminals: Terminals, command: str, printed: bytes
) -> None:
    server = terminals.router(command)
    client = terminals.client()
    assert printed in await client.rest()
    assert server.counters.failed == (command == "ls")


async def test_a_program_has_no_descriptor_of_ours(terminals: Terminals) -> None:
    """uWSGI's have all of the router's: listeners, other clients, its epoll."""
    ours = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(ours, True)
    terminals.router("ls /proc/self/fd | cat")
    other = terminals.client()
    client = terminals.client()
    # The last one is of the directory that ls reads.
    assert (await client.rest()).split() == [b"0", b"1", b"2", b"3"]
    await other.rest()
    os.close(ours)


async def test_signals_have_their_defaults_in_programs(terminals: Terminals) -> None:
    terminals.router("grep -E 'Sig(Blk|Ign)' /proc/self/status")
    client = terminals.client()
    masks = [int(line.split()[1], 16) for line in (await client.rest()).splitlines()]
    # 32 and 33 are the C library's own.
    assert [mask & ~(3 << 31) for mask in masks] == [0, 0]


async def test_what_was_printed_is_delivered_before_the_end(terminals: Terminals) -> None:
    server = terminals.router("seq 100000")
    client = terminals.client()
    await until(lambda: server.programs == 0 or server.active_sessions)
    printed = await client.rest()
    assert printed.split() == [b"%d" % number for number in range(1, 100_001)]


async def test_the_exit_status_is_in_the_log(terminals: Terminals, log: Log) -> None:
    terminals.router("exit 7 ")
    await terminals.client().rest()
    await log.line("ended: exit code 7")


# --- packets ---


async def test_packets_in_one_piece_are_all_obeyed(terminals: Terminals) -> None:
    terminals.router(SHELL)
    client = terminals.client(packets=True)
    await client.send(
        encode_window(33, 111) + packet(b"stty size\n") + packet(b"") + packet(b"exit\n")
    )
    assert b"33 111" in await client.rest()


async def test_a_new_size_is_one_signal(terminals: Terminals) -> None:
    terminals.router("trap 'stty size' WINCH; echo ready; while :; do read x; done")
    client = terminals.client(packets=True)
    await client.until(b"ready")
    await client.send(encode_window(40, 120))
    assert await client.until(b"40 120\r\n") == b"\r\n40 120\r\n"
    await client.send(encode_window(41, 120))
    assert await client.until(b"41 120\r\n") == b"41 120\r\n"


async def test_a_signal_reaches_the_program(terminals: Terminals) -> None:
    terminals.router("trap 'echo g''ot' USR1; echo rea''dy; while :; do read x; done")
    client = terminals.client(packets=True)
    await client.until(b"ready")
    # One that there is not is ignored.
    await client.send(encode_signal(200) + encode_signal(signal.SIGUSR1))
    await client.until(b"got")


async def test_a_signal_reaches_what_runs_in_the_foreground(
    terminals: Terminals, tmp_path: Path
) -> None:
    """uWSGI's reaches only the program, here a shell."""
    script = tmp_path / "foreground.sh"
    script.write_text("trap 'echo got it' USR1\necho ready\nwhile :; do sleep 0.05; done\n")
    terminals.router("exec bash --norc -i")
    client = terminals.client(packets=True)
    await client.send(packet(f"trap '' USR1; (trap - USR1; exec bash {script})\n".encode()))
    await client.until(b"ready\r\n")
    await client.send(encode_signal(signal.SIGUSR1))
    await client.until(b"got it")


async def test_long_input_comes_through_whole(terminals: Terminals) -> None:
    """With the terminal's own processing off, which would cut lines at 4095 bytes."""
    terminals.router("stty raw -echo; echo ready; head -c 200000 | md5sum")
    client = terminals.client(packets=True)
    await client.until(b"ready")
    data = bytes(range(256)) * 800
    await client.send(packet(data[:65_535]) + b"".join(encode_input(data[65_535:])))
    assert hashlib.md5(data[:200_000]).hexdigest().encode() in await client.rest()


# --- backpressure ---


async def test_a_program_waits_for_a_client_that_does_not_read(terminals: Terminals) -> None:
    server = terminals.router("/usr/bin/yes", timeout=0.3)
    client = terminals.client()
    # Without backpressure this would go on for as long as there is memory; with it nothing moves any more.
    await until(lambda: server.counters.sessions)
    await until(lambda: not server.active_sessions)
    assert server.counters.sent < 4 * 1024 * 1024
    client.close()


async def test_a_client_waits_for_a_program_that_does_not_read(terminals: Terminals) -> None:
    server = terminals.router("stty raw -echo; echo ready; exec sleep 100", timeout=0.5)
    client = terminals.client()
    await client.until(b"ready")
    most = 64 * 1024 * 1024
    assert await client.send_until_stuck(most) < most
    await until(lambda: not server.programs)


# --- ends ---


@pytest.mark.parametrize("how", ["close", "eof", "reset"])
async def test_the_clients_end_hangs_up(terminals: Terminals, how: str, log: Log) -> None:
    terminals.router("echo ready; exec cat")
    client = terminals.client()
    await client.until(b"ready")
    getattr(client, how)()
    await log.line("ended: signal 1, SIGHUP")


async def test_a_client_that_leaves_output_unread_has_left(terminals: Terminals) -> None:
    """The connection is broken then; it is told of once, with the input before it."""
    server = terminals.router("stty -echo; echo ready; exec cat > /dev/null")
    client = terminals.client()
    await until(lambda: client.now() == "surplus")
    client.sock.send(b"last\n")
    client.close()
    await until(lambda: not server.active_sessions)


async def test_a_program_that_does_not_heed_sighup_is_killed(
    terminals: Terminals, log: Log
) -> None:
    """uWSGI's router leaves it running, and a zombie once it ends."""
    server = terminals.router("trap '' HUP; echo ready; while :; do sleep 0.1; done", grace=0.2)
    client = terminals.client()
    await client.until(b"ready")
    client.close()
    await log.line("does not end at SIGHUP: killed")
    await log.line("ended: signal 9, SIGKILL")
    await until(lambda: not server.programs)


async def test_a_program_that_outlives_its_client_is_reaped(terminals: Terminals) -> None:
    server = terminals.router("trap 'sleep 0.1; exit 3' HUP; echo ready; while :; do read x; done")
    client = terminals.client()
    await client.until(b"ready")
    client.close()
    await until(lambda: not server.programs)
    assert zombies() == []


async def test_a_silent_session_ends(terminals: Terminals, log: Log) -> None:
    terminals.router(timeout=0.1)
    client = terminals.client()
    assert await client.rest() == b""
    await log.line("the session ends: nothing was said for 0.1 s")


async def test_a_session_lives_while_either_side_speaks(terminals: Terminals) -> None:
    terminals.router("while :; do echo tick; sleep 0.1; done", timeout=0.4)
    listening = terminals.client()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        await listening.until(b"tick")


async def test_many_sessions_leave_nothing_behind(terminals: Terminals, log: Log) -> None:
    server = terminals.router("/bin/cat")
    for number in range(1, 201):
        client = terminals.client()
        await client.send(b"x\n")
        if number % 2:
            client.close()
        else:
            client.reset()
        await until(lambda number=number: server.counters.sessions == number)  # type: ignore[misc]
    await until(lambda: not server.programs)
    assert zombies() == []


async def test_stopping_ends_the_sessions(terminals: Terminals) -> None:
    server = terminals.router("echo ready; exec cat")
    client = terminals.client()
    await client.until(b"ready")
    await server.stop()
    assert (server.active_sessions, server.programs) == (0, 0)
    await client.rest()


async def test_no_more_sessions_than_allowed(terminals: Terminals) -> None:
    server = terminals.router("echo ready; exec cat", max_sessions=2)
    first, second, third = [terminals.client() for _ in range(3)]
    await first.until(b"ready")
    await second.until(b"ready")
    assert server.active_sessions == 2
    first.close()
    await third.until(b"ready")


# --- access ---


def test_root_the_routers_user_and_those_allowed_may_connect() -> None:
    access = PtyAccess({1234}, tcp=False)
    assert {0, os.geteuid(), 1234} <= access._uids
    assert 65_534 not in access._uids


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("allowed", [False, True])
async def test_another_user_is_refused_unless_allowed(
    terminals: Terminals, allowed: bool, tmp_path: Path, log: Log
) -> None:
    server = terminals.router("echo rea''dy ", address=f"@{tmp_path.name}-{id(log)}")
    server._access = PtyAccess({1234} if allowed else (), tcp=False)
    client = terminals.client_of(1234)
    printed = await client.rest()
    if allowed:
        assert printed == b"ready\r\n"
    else:
        line = "user 1234 may not connect: see forkptyrouter-allow-uid"
        assert printed == f"uwsgi-router: {line}\r\n".encode()
        assert log.having(line)
    assert server.counters.refused == (not allowed)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_user_without_a_number_here_is_told_so(
    terminals: Terminals, tmp_path: Path
) -> None:
    terminals.router(address=f"@{tmp_path.name}")
    printed = await terminals.client_of(65_534).rest()
    assert b"your user has no number in the router's user namespace" in printed


@pytest.mark.parametrize("allowed", [False, True])
async def test_tcp_clients_are_refused_unless_allowed(terminals: Terminals, allowed: bool) -> None:
    server = terminals.router("echo rea''dy ", address="127.0.0.1:0", allow_tcp=allowed)
    client = terminals.client()
    assert (b"ready" in await client.rest()) is allowed
    assert server.counters.refused == (not allowed)


# --- garbage ---


async def test_garbage_harms_nobody_else(terminals: Terminals) -> None:
    terminals.router()
    good = terminals.client(packets=True)
    for seed in range(10):
        bad = terminals.client(packets=True)
        await bad.send(bytes((seed * 37 + at * at) % 256 for at in range(5000)))
        bad.close()
    await good.send(packet(b"still here\n"))
    await good.until(b"still here\r\nstill here\r\n")
