"""The supervisor of ``[app NAME]`` sections as a vassal: bytes of its Emperor, and the routers beside that."""

import http.client
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.lab.asking import Asking, ask
from tests.lab.place import Place
from tests.lab.processes import Process, free_port
from tests.lab.programs import uwsgi_router
from tests.lab.serving import ROOT, Served
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.sources

_APP = (
    "[app shop]\ncommand = {command}\nreplicas = 1\ndrain = 1\ndrain-streams = 1\nhost = shop.example\ncwd = {root}\n"
    "[uwsgi]\ncontrol-socket = {control}\n"
)
_UVICORN = f"{sys.executable} -m uvicorn --no-access-log tests.peers.served:asgi --port {{port}}"


class Emperor:
    """The Emperor's end of a vassal's pipe, and the vassal; without ``routers`` nobody is in front of it."""

    def __init__(
        self,
        lab: Place,
        routers: Path | None,
        *lines: str,
        file: str = "shop.ini",
        head: str = _APP,
        may_ask: bool = True,
    ) -> None:
        self.pipe, end = socket.socketpair()
        lab.closing(self.pipe)
        self.pipe.settimeout(20)
        self.file, self.head = lab.directory / file, head
        self.control = lab.directory / "serve.sock"
        self.write(_UVICORN, *lines)
        env = {"UWSGI_EMPEROR_FD": str(end.fileno())}
        control = f"{routers}/control" if may_ask else ""
        if routers is not None:
            env["_UWSGI_VASSAL_SOCKETS"] = f"{control}:{routers}/announce"
        self.served: Served = lab.served(
            argv=(uwsgi_router(), "--ini", file), env=env, pass_fds=(end.fileno(),)
        )
        end.close()

    def write(self, command: str, *lines: str) -> None:
        text = self.head.format(command=command, root=ROOT, control=self.control)
        self.file.write_text(text + "".join(f"{line}\n" for line in lines))

    def hears(self) -> int:
        return self.pipe.recv(1)[0]

    def says(self, byte: int) -> None:
        self.pipe.send(bytes((byte,)))


class Instance:
    """An HTTP router with sockets for vassals."""

    def __init__(self, lab: Place) -> None:
        self.directory = lab.directory / "sockets"
        self.directory.mkdir()
        self.port = free_port()
        self.process: Process = lab.program(
            "router", uwsgi_router(), f"--http=127.0.0.1:{self.port}", "--http-websockets",
            f"--http-subscription-server={self.directory}/announce", "--http-hold=10",
            f"--control-socket={self.directory}/control",
        )  # fmt: skip
        self.process.wait_until_it_accepts(f"127.0.0.1:{self.port}")

    def get(self) -> int:
        return ask(self.port)


def test_copies_are_announced_to_the_routers_beside_the_emperor(lab: Place) -> None:
    instance = Instance(lab)
    emperor = Emperor(lab, instance.directory, "heartbeat = 1")
    assert [emperor.hears(), emperor.hears()] == [1, 26]
    while (byte := emperor.hears()) == 26:
        pass
    assert byte == 5
    assert instance.get() == 200
    while (byte := emperor.hears()) == 26:
        pass
    assert byte == 17
    (copy,) = emperor.served.wait_for_copies(1)
    emperor.says(1)
    while (byte := emperor.hears()) == 26:
        pass
    assert byte == 5
    assert emperor.served.wait_for_copies(1)[0]["pid"] != copy["pid"]
    emperor.says(0)
    assert emperor.served.wait() == 0
    instance.process.wait_for_output("leaves: it unsubscribed")


def test_a_stop_waits_for_requests_and_a_second_one_does_not(lab: Place) -> None:
    instance = Instance(lab)
    emperor = Emperor(lab, instance.directory)
    assert [emperor.hears(), emperor.hears()] == [1, 5]
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
    connection.request("GET", "/slow?1.5", headers={"Host": "shop.example"})
    wait_until(lambda: emperor.served.copies()[0].get("running"), "the request runs")
    emperor.says(2)
    assert connection.getresponse().status == 200
    assert emperor.served.wait() == 0
    connection.close()


def test_without_routers_a_line_says_that_nobody_is_told(lab: Place) -> None:
    emperor = Emperor(lab, None)
    assert [emperor.hears(), emperor.hears(), emperor.hears()] == [1, 5, 17]
    assert "nobody is told of the copies" in emperor.served.output()
    emperor.write(_UVICORN + " --no-such-option")
    emperor.says(1)
    emperor.served.wait_for_output("rollout of shop failed")
    emperor.write("")
    emperor.says(1)
    emperor.served.wait_for_output("no reload, everything goes on as before")
    emperor.says(7)
    emperor.served.wait_for_output("the Emperor says 7, which means nothing here")
    # The Emperor is gone.
    emperor.pipe.close()
    assert emperor.served.wait() == 0


def test_a_file_with_a_router_has_its_own(lab: Place) -> None:
    port = free_port()
    emperor = Emperor(lab, Path("/nonexistent"), f"http = 127.0.0.1:{port}")
    assert [emperor.hears(), emperor.hears()] == [1, 5]
    emperor.served.port = port
    assert emperor.served.get()[0] == 200
    assert emperor.hears() == 17
    emperor.says(0)
    assert emperor.served.wait(30) == 0


def test_a_binary_patch_is_announced_and_replaced_by_a_new_copy_first(lab: Place) -> None:
    instance = Instance(lab)
    command = f"exec {_UVICORN.format(port='$PORT')}"
    emperor = Emperor(
        lab, instance.directory, f"unprivileged-binary-patch-arg = {command}", f"chdir = {ROOT}",
        file="shop.example.ini", head="[uwsgi]\ncontrol-socket = {control}\n",
    )  # fmt: skip
    assert [emperor.hears(), emperor.hears()] == [1, 5]
    assert instance.get() == 200
    assert emperor.hears() == 17
    with Asking(instance.port) as asked:
        for _ in range(3):
            emperor.says(1)
            assert emperor.hears() == 5
            assert emperor.hears() == 17
    assert set(asked.statuses) == {200}
    assert len(asked.statuses) > 20


def test_who_may_not_ask_the_router_gives_requests_all_of_their_time(lab: Place) -> None:
    instance = Instance(lab)
    emperor = Emperor(lab, instance.directory, may_ask=False)
    assert [emperor.hears(), emperor.hears(), emperor.hears()] == [1, 5, 17]
    wait_until(lambda: instance.get() == 200, "it is announced")
    began = time.monotonic()
    emperor.says(1)
    assert emperor.hears() == 5
    # As the drain of the section says, and two more.
    assert 2.5 < time.monotonic() - began < 9
    assert instance.get() == 200
