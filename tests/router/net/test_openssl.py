"""OpenSSL's object on a bare socket, in every Python that is here: what it takes is no public interface of ssl."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.tls import NAME, Authority

ROOT = Path(__file__).parents[3]
SCRIPT = """
import select, socket, ssl, sys
from uwsgi_router.router.net.openssl import BareSocket, accepted, say_goodbye, shake_hands, wrapped

assert accepted is not wrapped
certificate, key, authority, name = sys.argv[1:]
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(certificate, key)
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    client = ssl.create_default_context(cafile=authority)
    client.maximum_version = version
    ours, theirs = socket.socketpair()
    bare = BareSocket(ours.family, int(ours.type) | socket.SOCK_NONBLOCK, 0, ours.detach())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = client.wrap_bio(incoming, outgoing, server_hostname=name)
    sock, tls = accepted(server, bare)
    assert sock is bare
    buffer = memoryview(bytearray(16384))
    done = False
    assert shake_hands(tls) == select.EPOLLIN | select.EPOLLRDHUP
    while not done or shake_hands(tls):
        try:
            peer.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        theirs.sendall(outgoing.read())
        if not done:
            shake_hands(tls)
            incoming.write(theirs.recv(65536))
    assert tls.version() == peer.version()
    assert tls.session_reused is False
    assert tls.getpeercert(True) is None
    peer.write(b"asked")
    theirs.sendall(outgoing.read())
    assert bytes(buffer[:tls.read(16384, buffer)]) == b"asked"
    assert tls.write(b"answered") == 8
    incoming.write(theirs.recv(65536))
    assert peer.read(100) == b"answered"
    try:
        tls.read(16384, buffer)
    except ssl.SSLWantReadError:
        pass
    else:
        raise AssertionError("there is nothing to read")
    assert isinstance(say_goodbye(sock, tls), ssl.SSLWantReadError)
    incoming.write(theirs.recv(65536))
    try:
        assert peer.read(100) == b""
    except ssl.SSLZeroReturnError:
        pass
    del tls
    sock.close()
    theirs.close()
"""


def pythons() -> list[str]:
    """Return every CPython that could run this program, one of each version."""
    places = [shutil.which(f"python3.{minor}") or "" for minor in range(11, 16)]
    places += [str(path) for path in Path.home().glob(".pyenv/versions/3.*/bin/python")]
    places += [sys.executable, "/usr/bin/python3"]
    tell = "import sys; print(sys.version, sys.version_info >= (3, 11), sys.implementation.name)"
    found: dict[str, str] = {}
    for place in filter(os.path.exists, places):
        told = subprocess.run([place, "-c", tell], capture_output=True, text=True, check=False)
        if not told.returncode and told.stdout.endswith(" True cpython\n"):
            found.setdefault(told.stdout, place)
    return list(found.values())


@pytest.mark.sources
@pytest.mark.parametrize("python", pythons())
def test_a_handshake_an_answer_and_an_end_in_each_python(python: str, tmp_path: Path) -> None:
    authority = Authority.made(tmp_path)
    files = authority.issue()
    arguments = [files.certificate, files.key, authority.file, NAME]
    done = subprocess.run(
        [python, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
