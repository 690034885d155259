"""``subscribe``: a program is announced when it serves, withdrawn before it is stopped, and its end is ours."""

import os
import signal
import socket
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.place import Place
from tests.lab.processes import Process, accepts, free_port
from tests.lab.waiting import wait_until
from uwsgi_router.protocol.subscription import decode

PROGRAM = Path(__file__).with_name("subscribed.py")


class Table:
    """A subscription server's socket, which also hears what the program tells."""

    def __init__(self, lab: Place) -> None:
        self._lab = lab
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._sock.settimeout(15)
        self.address = "{}:{}".format(*self._sock.getsockname())
        self.node = f"127.0.0.1:{free_port()}"
        lab.closing(self._sock)

    def next(self) -> str:
        """Return the next thing that happens: ``subscribe KEY ADDRESS``, ``event SIGTERM``; waits for it."""
        datagram = self._sock.recv(5000)
        if datagram.startswith(b"event "):
            return datagram.decode()
        s = decode(datagram)
        return f"{s.command} {s.key.decode()} {s.address}"

    def next_new(self) -> str:
        """Return the next thing that happens but for announces that only repeat the first."""
        while (happened := self.next()) == self.subscribed:
            pass
        return happened

    @property
    def subscribed(self) -> str:
        return f"subscribe example.com {self.node}"

    @property
    def unsubscribed(self) -> str:
        return f"unsubscribe example.com {self.node}"

    def wait_until_it_listens(self) -> None:
        wait_until(lambda: accepts(self.node), "the program listens")

    def run(
        self,
        *words: str,
        options: tuple[str, ...] = ("--drain", "300ms"),
        before: tuple[str, ...] = (),
        command: tuple[str, ...] | None = None,
        program: tuple[str, ...] | None = None,
        **settings: object,
    ) -> Process:
        """Start the command with our program."""
        command = command or (programs.uwsgi_router(), "subscribe")
        started = (sys.executable, str(PROGRAM), "{address}", self.address, *words)
        argv = [*before, *command, "--server", self.address, "--key", "example.com"]
        argv += ["--address", self.node, *options, "--", *(program or started)]
        return self._lab.program("subscribe", *argv, **settings)


@pytest.fixture
def table(lab: Place) -> Table:
    return Table(lab)


def child(process: Process) -> int:
    """Return the pid of its only child."""
    (pid,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_withdrawn_first_and_stopped_after_the_drain(
    table: Table, number: signal.Signals
) -> None:
    process = table.run("exit=7")
    assert table.next() == table.subscribed
    process.signal(number)
    assert table.next_new() == table.unsubscribed
    host, port = table.node.split(":")
    with socket.create_connection((host, int(port)), 5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200"), "it serves on while it drains"
    assert table.next() == "event SIGTERM"
    assert process.wait() == 7


def test_a_lost_withdrawal_is_repeated(table: Table) -> None:
    process = table.run(options=("--drain-delay", "1.2"))
    assert table.next() == table.subscribed
    process.signal(signal.SIGTERM)
    heard = [table.next_new() for _ in range(3)]
    assert heard == [table.unsubscribed, table.unsubscribed, "event SIGTERM"]


def test_ctrl_c_in_a_terminal_reaches_the_program_as_term_only(table: Table) -> None:
    process = table.run()
    assert table.next() == table.subscribed
    process.interrupt()
    assert table.next_new() == table.unsubscribed
    assert table.next() == "event SIGTERM"
    assert process.wait() == 0


def test_who_is_killed_takes_the_program_along(table: Table) -> None:
    process = table.run()
    assert table.next() == table.subscribed
    process.signal(signal.SIGKILL)
    assert table.next() == "event SIGTERM"


def test_a_second_signal_ends_the_drain(table: Table) -> None:
    process = table.run(options=("--drain", "60s", "--drain-delay", "60s"))
    assert table.next() == table.subscribed
    process.signal(signal.SIGTERM)
    assert table.next_new() == table.unsubscribed
    process.signal(signal.SIGTERM)
    while (happened := table.next()) == table.unsubscribed:
        pass
    assert happened == "event SIGTERM"
    assert process.wait(5) == 0


def test_all_other_signals_are_forwarded(table: Table) -> None:
    process = table.run()
    assert table.next() == table.subscribed
    for name in ("HUP", "QUIT", "USR1", "USR2", "CONT", "TTIN", "TTOU", "WINCH", "ALRM", "PROF"):
        process.signal(getattr(signal, f"SIG{name}"))
        assert table.next_new() == f"event SIG{name}"
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_a_program_that_ends_by_itself_is_withdrawn(table: Table) -> None:
    process = table.run()
    assert table.next() == table.subscribed
    host, port = table.node.split(":")
    os.kill(child(process), signal.SIGKILL)
    assert table.next_new() == table.unsubscribed
    assert process.wait() == 128 + signal.SIGKILL
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), 5)


def test_a_program_that_ends_before_it_serves_is_never_announced(table: Table) -> None:
    events = table.address.replace(":", "/")
    tell = f"echo -n event gone > /dev/udp/{events}; exit 3"
    process = table.run(program=("bash", "-c", tell))
    assert process.wait() == 3
    assert table.next() == "event gone"


def test_an_interval_that_routers_take_for_silence_is_worth_a_word(table: Table) -> None:
    process = table.run(options=("--interval", "1m"), program=("true",))
    assert process.wait() == 0
    assert "routers believe 17 s of silence" in process.output()


def test_a_program_ended_by_term_is_143(table: Table) -> None:
    process = table.run("quiet")
    assert table.next() == table.subscribed
    process.signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM


def test_it_is_announced_when_its_health_url_answers_for_the_key(lab: Place, table: Table) -> None:
    healthy = lab.directory / "healthy"
    process = table.run(f"healthy={healthy}", options=("--check", "/health", "--drain", "0"))
    table.wait_until_it_listens()
    process.signal(signal.SIGUSR1)
    assert table.next() == "event SIGUSR1", "no announce before this"
    healthy.touch()
    assert table.next() == table.subscribed
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_its_health_url_is_asked_as_clients_behind_a_proxy_ask(table: Table) -> None:
    process = table.run("asked", options=("--check", "/health?full=1", "--drain", "0"))
    line, *fields = table.next().removeprefix("event ").strip().split("\r\n")
    assert line == "GET /health?full=1 HTTP/1.1"
    expected = {
        "Host: example.com",
        "X-Forwarded-Host: example.com",
        "X-Forwarded-Proto: https",
        "X-Forwarded-For: 127.0.0.1",
    }
    assert expected <= set(fields)
    assert table.next() == table.subscribed
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_a_program_that_is_not_ready_is_asked_ever_less_and_the_reason_told_after_two_seconds(
    lab: Place, table: Table
) -> None:
    words = ("asked", f"healthy={lab.directory / 'never'}")
    started = time.monotonic()
    process = table.run(*words, options=("--check", "/health", "--drain", "0"))
    reason = f"not announced yet: {table.node} answers GET /health for example.com with 503"
    asked = []
    while reason not in process.output():
        assert table.next().startswith("event GET /health")
        asked.append(time.monotonic())
    # At 0.1, 0.25, 0.475, 0.81, 1.32, 2.1 s after its start, not ten times a second for ten seconds.
    assert len(asked) <= 3 + 3 * (asked[-1] - asked[0])
    assert asked[-1] - started >= 2
    process.signal(signal.SIGTERM)
    while table.next() != "event SIGTERM":
        pass
    assert process.wait() == 0


def test_before_it_is_announced_it_is_stopped_at_once(lab: Place, table: Table) -> None:
    never = lab.directory / "never"
    options = ("--check", "/health", "--drain", "60", "--drain-delay", "60")
    process = table.run(f"healthy={never}", options=options)
    table.wait_until_it_listens()
    process.signal(signal.SIGTERM)
    assert table.next() == "event SIGTERM"
    assert process.wait() == 0


def test_the_program_hears_the_address_on_the_route(table: Table) -> None:
    port = table.node.rpartition(":")[2]
    # The last --address counts.
    process = table.run(options=("--address", f"auto:{port}", "--drain", "0"))
    assert table.next() == table.subscribed
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_a_program_that_is_to_be_told_its_address_waits_until_the_routers_name_is_found(
    lab: Place, table: Table
) -> None:
    started = lab.directory / "started"
    options = ("--server", "router.invalid:3032", "--address", "auto:8000")
    command = (programs.uwsgi_router(), "subscribe", *options, "--key", "a")
    process = lab.program("subscribe", *command, "--", "touch", str(started))
    process.wait_for_output("server router.invalid:3032: ")
    process.signal(signal.SIGUSR1)
    process.signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert not started.exists()
    assert "Traceback" not in process.output()


def test_the_program_has_our_standard_streams_and_descriptors(table: Table) -> None:
    reading, writing = os.pipe()
    address = ("--server", table.address, "--key", "a", "--address", table.node)
    program = ("bash", "-c", f"cat; echo passed >&{writing}; exit 5")
    done = subprocess.run(
        [programs.uwsgi_router(), "subscribe", *address, "--", *program],
        input=b"typed\n",
        stdout=subprocess.PIPE,
        pass_fds=[writing],
        timeout=30,
        check=False,
    )
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert (done.returncode, done.stdout, pipe.read()) == (5, b"typed\n", b"passed\n")


def test_programs_that_cannot_be_run(lab: Place, table: Table) -> None:
    plain = lab.directory / "plain"
    plain.write_text("no program")
    binary = lab.directory / "binary"
    binary.write_bytes(b"\0\1\2")
    binary.chmod(0o755)
    for program, code in (("/nonexistent", 127), (str(plain), 126), (str(binary), 126)):
        process = table.run(program=(program,))
        assert process.wait() == code
        assert process.output().splitlines()[-1].startswith(f"uwsgi-router subscribe: {program}")


def test_what_cannot_be_announced_is_not_started(lab: Place, table: Table) -> None:
    started = lab.directory / "started"
    for options, reason in (
        (("--sign", f"SHA256:{lab.directory}/none.pem"), "No such file"),
        (("--server", "192.0.2.1:3032"), "another machine: write auto:"),
    ):
        process = table.run(options=options, program=("touch", str(started)))
        assert process.wait() == 1
        assert reason in process.output().splitlines()[-1]
    assert not started.exists()


# Ends when it is the reaper of all below it, as process 1 is.
SUBREAPER = (
    "import ctypes, os, sys; assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0;"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def test_orphans_are_reaped(table: Table) -> None:
    process = table.run("orphan", before=(sys.executable, "-c", SUBREAPER))
    happened = table.next()
    assert happened.startswith("event orphan ")
    pid = happened.split()[-1]
    wait_until(lambda: not Path("/proc", pid).exists(), "the orphan is no zombie")
    assert table.next() == table.subscribed, "and the program goes on"
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_it_can_be_process_1(table: Table) -> None:
    before = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")
    if subprocess.run([*before, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no pid name spaces here")
    process = table.run("exit=3", before=before)
    assert table.next() == table.subscribed
    # From outside a name space its process 1 gets signals like any other, if it has a handler.
    os.kill(child(process), signal.SIGTERM)
    assert table.next_new() == table.unsubscribed
    assert table.next() == "event SIGTERM"
    assert process.wait() == 3


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one file, as `make subscribe.pyz` builds it."""
    target = tmp_path_factory.mktemp("dist") / "uwsgi-subscribe"
    argv = ["make", "subscribe.pyz", f"PYTHON={sys.executable}", f"SUBSCRIBE={target}"]
    subprocess.run(argv, cwd=programs.ROOT, check=True, capture_output=True, timeout=60)
    return target


@pytest.fixture
def project(lab: Place) -> Path:
    """A project with packages of our names, imported before anything else, and a module of one of Python's names."""
    project = lab.directory / "project"
    for package in ("router", "protocol", "subscriptions"):
        (project / package).mkdir(parents=True)
        (project / package / "__init__.py").write_text("OURS = True\n")
    imports = "import protocol, router, subscriptions\n"
    (project / "sitecustomize.py").write_text(imports)
    (project / "ipaddress.py").write_text("raise SystemExit('the wrong ipaddress')\n")
    check = "assert protocol.OURS and router.OURS and subscriptions.OURS\n"
    (project / "app.py").write_text(imports + check + PROGRAM.read_text())
    return project


@pytest.mark.sources
@pytest.mark.parametrize("path", [None, "project"])
def test_the_zipapp_in_a_project_with_packages_of_our_names(
    lab: Place, table: Table, zipapp: Path, project: Path, path: str | None
) -> None:
    environment = lab.directory / "venv"
    venv.create(environment, with_pip=False)
    settings = {
        "PATH": f"{environment}/bin:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(environment),
        "PYTHONPATH": path and str(project),
    }
    program = ("python", "app.py", "{address}", table.address)
    process = table.run(command=(str(zipapp),), program=program, cwd=project, env=settings)
    assert table.next() == table.subscribed, process.output()
    process.signal(signal.SIGTERM)
    assert table.next_new() == table.unsubscribed
    assert table.next() == "event SIGTERM"
    assert process.wait() == 0


@pytest.mark.sources
def test_the_same_sources_make_the_same_zipapp(zipapp: Path, tmp_path: Path) -> None:
    builder = programs.ROOT / "scripts/build_subscribe.py"
    again = tmp_path / "again"
    subprocess.run([sys.executable, str(builder), str(again)], check=True, timeout=60)
    assert again.read_bytes() == zipapp.read_bytes()
    assert os.access(again, os.X_OK)
