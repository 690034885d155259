"""certbot gets a certificate from pebble through a running router, as docs/https.md says, and renews it."""

import json
import os
import re
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import DOCS, Block, blocks, commands
from tests.lab import programs
from tests.lab.place import Place, temporary
from tests.lab.processes import free_port, run
from tests.lab.tls import Authority
from tests.lab.waiting import wait_until

pytestmark = [pytest.mark.peers, pytest.mark.deadline(120)]

NAME = "www.example.com"
_PATH = re.compile(r"(?<![\w./])(?=/(?:etc|var)/)")


class Site:
    """A certification authority, and a router that has no certificate from it yet."""

    def __init__(self, lab: Place) -> None:
        self.lab = lab
        self.directory = lab.directory
        # The router becomes another user, who has to get to the files.
        self.directory.chmod(0o755)
        self.plain, self.secure, self.acme, self.management, dns = (free_port() for _ in range(5))
        own = Authority.made(self.directory / "pebble")
        self._bundle = own.file
        files = own.issue("localhost")
        config = {
            "listenAddress": f"127.0.0.1:{self.acme}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": files.certificate,
            "privateKey": files.key,
            "httpPort": self.plain,
            "tlsPort": self.secure,
        }
        file = self.directory / "pebble.json"
        file.write_text(json.dumps({"pebble": config}))
        nowhere = ["-http01=", "-https01=", "-tlsalpn01=", "-defaultIPv6="]
        names = [programs.pebble_names(), f"-dns01=127.0.0.1:{dns}", *nowhere]
        lab.program("names", *names, f"-management=127.0.0.1:{free_port()}")
        lab.program(
            "pebble",
            programs.pebble(),
            f"-config={file}",
            f"-dnsserver=127.0.0.1:{dns}",
            env={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
        ).wait_until_it_accepts(f"127.0.0.1:{self.acme}")

    def here(self, text: str) -> str:
        """Return a text of the page for this machine."""
        text = _PATH.sub(str(self.directory), text)
        for shown, port in ((80, self.plain), (443, self.secure)):
            text = re.sub(rf"= :{shown}\b", f"= 127.0.0.1:{port}", text)
        if os.geteuid() != 0:
            text = re.sub(r"^(?:uid|gid) = .*\n", "", text, flags=re.MULTILINE)
        return text

    def type(self, line: str) -> None:
        """Type a line of the page."""
        line = self.here(line)
        if os.geteuid() != 0 and line.startswith("chgrp"):
            return
        if line.startswith("certbot"):
            line = f"{programs.certbot()} {line.partition(' ')[2]} {self._certbot()}"
        done = run("sh", "-c", line, env={**os.environ, "REQUESTS_CA_BUNDLE": self._bundle})
        assert done.returncode == 0, done.stdout + done.stderr

    def _certbot(self) -> str:
        """Return what a reader need not say: another authority, other directories, and nobody to ask."""
        words = ["--non-interactive", "--agree-tos", "--register-unsafely-without-email"]
        words += [f"--server https://localhost:{self.acme}/dir"]
        for option, place in (("config", "etc/letsencrypt"), ("work", "work"), ("logs", "logs")):
            words.append(f"--{option}-dir {self.directory / place}")
        return " ".join(words)

    def served(self, name: str = NAME) -> dict[str, object]:
        """Return the certificate that a client gets who believes pebble, or nobody does.

        Raises:
            ssl.SSLError: it is from somebody else.
        """
        context = ssl.create_default_context(cadata=self._root())
        with (
            socket.create_connection(("127.0.0.1", self.secure), 10) as sock,
            context.wrap_socket(sock, server_hostname=name) as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % name.encode())
            assert tls.recv(65_536).startswith(b"HTTP/1.1 200 ")
            return dict(tls.getpeercert() or {})

    def _root(self) -> str:
        """Return the authority's own certificate, another one in each of its lives."""
        url = f"https://localhost:{self.management}/roots/0"
        done = run("curl", "--silent", "--fail", "--cacert", self._bundle, url, check=True)
        return done.stdout


@pytest.fixture(scope="module")
def page() -> list[Block]:
    """Return the blocks of the page's section, in order."""
    found = blocks(DOCS / "https.md")
    first = next(n for n, block in enumerate(found) if "default.key" in block.text)
    return found[first : first + 3]


@pytest.fixture
def site() -> Iterator[Site]:
    programs.certbot()
    with temporary() as lab:
        yield Site(lab)


def test_a_certificate_is_got_and_renewed_without_a_restart(site: Site, page: list[Block]) -> None:
    prepare, config, get = page
    (site.directory / "etc/uwsgi-router").mkdir(parents=True)
    for command in commands(prepare):
        site.type(command.line)
    # What a user of the machine's own would see: nobody else's key may be read.
    key = site.directory / "etc/uwsgi-router/default.key"
    key.chmod(0o640)
    if os.geteuid() == 0:
        run("chgrp", "www-data", str(key), check=True)
    node = site.lab.server("gunicorn-sync").address
    file = site.directory / "router.ini"
    file.write_text(site.here(config.text).replace("127.0.0.1:8000", node))
    (site.directory / "etc/letsencrypt/live").mkdir(parents=True)
    router = site.lab.command(str(file))
    router.wait_for_output("is ready")
    with pytest.raises(ssl.SSLCertVerificationError):
        site.served()
    for command in commands(get):
        site.type(command.line)
    first = wait_until(lambda: _served(site), "the certificate is served")
    key = next((site.directory / "etc/letsencrypt/archive" / NAME).glob("privkey1.pem"))
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    site.type("certbot renew --force-renewal --no-random-sleep-on-renew")
    second = wait_until(
        lambda: (now := _served(site)) and now != first and now, "the new one is served", 2.0
    )
    assert second
    assert "challenge" not in router.output()


def _served(site: Site) -> object:
    try:
        return site.served()["serialNumber"]
    except ssl.SSLCertVerificationError:
        return None


def test_certbots_files_are_where_the_page_says(page: list[Block]) -> None:
    _prepare, config, get = page
    webroot = re.search(r"acme-webroot = (.+)", config.text)
    assert webroot
    assert f"--webroot-path {webroot[1]} " in get.text
    assert Path(webroot[1]).is_absolute()
