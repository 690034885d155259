"""ClientHellos: of real clients, generated, malformed; and that OpenSSL sees in them what we do."""

import random
import ssl
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.tls import hellos
from tests.protocol.tls.hellos import (
    Said,
    message,
    protocols,
    record,
    records,
    said,
    server_name,
    versions,
)
from uwsgi_router.protocol.tls.errors import BadHello, HelloError, NotTls
from uwsgi_router.protocol.tls.hello import (
    MAX_HELLO,
    MAX_HELLO_BYTES,
    MAX_RECORDS,
    Hello,
    read_hello,
)

LABELS = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
NAMES = st.lists(LABELS, min_size=1, max_size=6).map(".".join)


def read(data: bytes) -> Hello:
    hello = read_hello(data)
    assert hello is not None
    return hello


def read_by_bytes(data: bytes) -> Said:
    """Read what comes byte by byte: nothing is known before the last one."""
    for size in range(len(data)):
        assert read_hello(data[:size]) is None
    return said(read(data))


def refusal(data: bytes) -> str:
    """Return why a hello is refused: whole, and at one byte and all behind it as it comes byte by byte."""
    with pytest.raises(BadHello) as caught:
        read_hello(data)
    refused = False
    for size in range(len(data) + 1):
        try:
            assert read_hello(data[:size]) is None
            assert not refused
        except BadHello:
            refused = True
    assert refused
    with pytest.raises(BadHello):
        read_hello(data + b"\x16\x03\x01\x00\x01\x00")
    return str(caught.value)


# ---------------------------------------------------------------------------------------- real clients


@pytest.mark.parametrize("line", hellos.recorded(), ids=lambda line: line.client)
@pytest.mark.parametrize("size", [0, 1000, 100], ids=["as sent", "records of 1000", "of 100"])
def test_hellos_of_real_clients(line: hellos.Recorded, size: int) -> None:
    data = hellos.split(line.data, size) if size else line.data
    hello = read_by_bytes(data)
    assert hello == Said(line.name, line.versions, line.protocols, len(data))
    assert said(read(data + b"\x17\x03\x03early data")) == hello


def test_hello_of_this_openssl() -> None:
    data = hellos.of_openssl("Example.COM", alpn=["h2", "http/1.1"])
    assert read_by_bytes(data) == Said(
        "example.com", (0x0304, 0x0303), (b"h2", b"http/1.1"), len(data)
    )
    old = read(hellos.of_openssl(None, highest=0x0303))
    assert old.server_name is None
    assert old.versions == (0x0303, 0x0302, 0x0301, 0x0300)
    assert old.alpn == ()


# ---------------------------------------------------------------------------------------- generated


@given(
    NAMES,
    st.lists(st.integers(0x0300, 0xFFFF), min_size=1, max_size=127),
    st.lists(st.binary(min_size=1, max_size=255), min_size=1, max_size=8),
    st.integers(60, 20_000),
    st.randoms(use_true_random=False),
)
def test_what_a_hello_says_is_read(
    name: str, numbers: list[int], words: list[bytes], size: int, rng: random.Random
) -> None:
    name = name[:240] + ".Example"
    extensions = [
        server_name(name.encode()),
        versions(*numbers),
        protocols(*words),
        (0x0A0A, b""),
        (21, b"\0" * 40),
    ]
    rng.shuffle(extensions)
    sent = records(message(extensions, session=b"s" * 32), max(size, 120))
    expected = Said(name.lower(), tuple(numbers), tuple(words), len(sent))
    assert said(read(sent)) == expected
    assert said(read(sent + b"more")) == expected
    for cut in rng.sample(range(len(sent)), 8):
        assert read_hello(sent[:cut]) is None


@given(st.binary(max_size=600))
def test_any_bytes_are_a_hello_or_none_or_refused(data: bytes) -> None:
    for sent in (data, b"\x16\x03\x01" + data, record(b"\x01" + hellos.vector(data, 3))):
        try:
            hello = read_hello(sent)
        except HelloError:
            continue
        assert hello is None or hello.size <= len(sent)


# ---------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"a", "a"),
        (b"WWW.Example.com", "www.example.com"),
        (b"example.com.", "example.com"),
        (b"xn--bcher-kva.example", "xn--bcher-kva.example"),
        (b"_dmarc.example", "_dmarc.example"),
        (b"a1.example2", "a1.example2"),
        (b"1.2.3.4a", "1.2.3.4a"),
        (b"x" * 63 + b".example", "x" * 63 + ".example"),
    ],
)
def test_names(sent: bytes, name: str) -> None:
    assert read(record(message([server_name(sent)]))).server_name == name


@pytest.mark.parametrize(
    "sent",
    [
        *(b"192.0.2.7", b"::1", b"[::1]", b"1", b"127.1", b"example.com:443", b"example.1"),
        *(b".", b"..", b".example", b"a..b", b"a.b..", b"../../etc/passwd", b"a/b", b"a\\b"),
        *(b"b\xc3\xbccher.example", b"\xff", b"*.example", b"a b", b"a\nb", b"a,b", b"x" * 64),
    ],
)
def test_what_is_no_host_name_names_nothing(sent: bytes) -> None:
    assert read(record(message([server_name(sent)]))).server_name is None


# ---------------------------------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (0x0303, (0x0303, 0x0302, 0x0301, 0x0300)),
        (0x0304, (0x0303, 0x0302, 0x0301, 0x0300)),
        (0x0302, (0x0302, 0x0301, 0x0300)),
        (0x0300, (0x0300,)),
    ],
)
@pytest.mark.parametrize("extensions", [None, ()], ids=["no list", "empty list"])
def test_clients_without_a_list_of_versions(
    highest: int, expected: tuple[int, ...], extensions: hellos.Extensions | None
) -> None:
    sent = record(message(extensions, version=highest))
    assert read_by_bytes(sent) == Said(None, expected, (), len(sent))


# ---------------------------------------------------------------------------------------- refused

NAME = server_name(b"example.com")
GOOD = message([NAME])


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (record(b"\x02" + GOOD[1:]), "type 2"),
        (record(GOOD[:20]) + record(GOOD[20:], kind=23), "type 23"),
        (record(GOOD[:20]) + record(b"") + record(GOOD[20:]), "record of 0 bytes"),
        (record(b""), "record of 0 bytes"),
        (b"\x16\x03\x01\x40\x01", "record of 16385 bytes"),
        (record(GOOD, version=0x0201), "version 0x02"),
        (record(GOOD + b"\x01"), "1 bytes follow the hello"),
        (record(GOOD + GOOD), "follow the hello"),
        (records(GOOD, 1), "more than 32 records"),
        (record(b"\x01\x00\x40\x01"), "hello of 16385 bytes"),
        (record(b"\x01\xff\xff\xff"), "hello of 16777215 bytes"),
        (record(b"\x01\x00\x00\x00"), "no version"),
        (record(b"\x01" + hellos.vector(b"\x03\x03" + b"r" * 31, 3)), "no version"),
        (record(b"\x01" + hellos.vector(b"\x03\x03" + b"r" * 32, 3)), "session id has no length"),
        (record(message(version=0x0203)), "no version"),
        (record(message(version=0xFEFD)), "no version"),
        (record(message(session=b"s" * 33)), "session id of 33"),
        (record(message(ciphers=b"")), "ciphers of 0 bytes"),
        (record(message(ciphers=b"\x13\x01\xc0")), "ciphers of 3 bytes"),
        (record(message(compressions=b"")), "empty list of compressions"),
        (record(message([NAME], more=b"\0")), "1 bytes follow the extensions"),
        (record(message(None, more=b"\0")), "list of extensions has no length"),
        (record(message(None, more=b"\0\x01")), "ends 1 bytes behind"),
        (record(message(None, more=b"\0\x03\0\0\0")), "extension has no length"),
        (record(message([NAME, NAME])), "extension 0 is there twice"),
        (record(message([(59, b""), (59, b"")])), "extension 59 is there twice"),
        (record(message([(60, b""), (59, b""), (60, b"")])), "extension 60 is there twice"),
        (record(message([(0x1A1A, b""), (0x1A1A, b"")])), "there twice"),
        (record(message([server_name(b"a", b"b")])), "follow the server name"),
        (record(message([server_name()])), "unknown kind"),
        (record(message([server_name(b"a", kind=1)])), "unknown kind"),
        (record(message([server_name(b"")])), "server name of 0 bytes"),
        (record(message([server_name(b"x" * 256)])), "server name of 256 bytes"),
        (record(message([server_name(b"a\0b")])), "with a NUL"),
        (record(message([(0, b"")])), "has no length"),
        (record(message([(0, NAME[1] + b"\0")])), "follow the list of server names"),
        (record(message([(0, b"\0\x09\0\0\x05abc")])), "behind the end"),
        (record(message([versions()])), "versions of 0 bytes"),
        (record(message([(43, b"\x03\x03\x04\x03")])), "versions of 3 bytes"),
        (record(message([(43, b"")])), "has no length"),
        (record(message([protocols()])), "empty list of protocols"),
        (record(message([protocols(b"h2", b"")])), "empty protocol"),
        (record(message([(16, b"\0\x03\x05h2")])), "behind the end"),
        (record(message([(16, b"\0\x03\x02h2\0")])), "follow the list of protocols"),
    ],
)
def test_malformed_hellos(sent: bytes, reason: str) -> None:
    assert reason in refusal(sent)


def test_a_hello_of_thousands_of_extensions_takes_no_longer_than_any_of_its_size() -> None:
    """To look for each among those before it, one by one, would take a second."""
    many = record(message([(kind, b"") for kind in range(60, 4100)]))
    began = time.process_time()
    read(many)
    assert time.process_time() - began < 0.5


def test_the_largest_hello() -> None:
    padding = MAX_HELLO + 4 - len(message([NAME, (21, b"")]))
    largest = message([NAME, (21, b"\0" * padding)])
    assert len(largest) == MAX_HELLO + 4
    piece = -(-len(largest) // MAX_RECORDS)
    for sent in (records(largest, piece), records(largest, MAX_HELLO)):
        assert read(sent).server_name == "example.com"
        assert len(sent) <= MAX_HELLO_BYTES
        assert read_hello(sent[:-1]) is None
    with pytest.raises(BadHello, match="records"):
        read_hello(records(largest, piece - 17))


@pytest.mark.parametrize(
    ("sent", "http"),
    [
        *((b"GET / HTTP/1.1\r\n\r\n", True), (b"G", True), (b"POST /x", True)),
        *((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", True), (b"OPTIONS * HTTP/1.1\r\n", True)),
        *((b"SSH-2.0-OpenSSH_9.2\r\n", False), (b"\0" * 100, False), (b"get / HTTP/1.1", False)),
        *((b"\x80\x2e\x01\x03\x01", False), (b"\x15\x03\x01\0\x02\x02\x28", False)),
        *(
            (b"\x17\x03\x03\0\x01x", False),
            (b"A" * 25, False),
            (b"EHLO\n", False),
            (b" GET", False),
        ),
    ],
)
def test_what_is_no_tls(sent: bytes, http: bool) -> None:
    with pytest.raises(NotTls) as caught:
        read_hello(sent)
    assert caught.value.http is http
    assert len(str(caught.value)) < 120


def test_nothing_yet() -> None:
    assert read_hello(b"") is None


# ---------------------------------------------------------------------------------------- OpenSSL


class OpenSsl:
    """A server of OpenSSL's that tells what it saw in a hello."""

    def __init__(self) -> None:
        self.saw: str | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.context.sni_callback = self._name

    def _name(self, _connection: object, name: str | None, _context: object) -> int:
        self.saw = name
        # The answer depends on nothing else: the handshake ends here.
        return ssl.ALERT_DESCRIPTION_USER_CANCELLED

    def name_of(self, sent: bytes) -> str | None:
        """Return the name that OpenSSL reads.

        Raises:
            ssl.SSLError: it refuses the hello before it comes to the name.
        """
        self.saw = "nothing"
        received = ssl.MemoryBIO()
        received.write(sent)
        server = self.context.wrap_bio(received, ssl.MemoryBIO(), server_side=True)
        try:
            server.do_handshake()
        except ssl.SSLError:
            if self.saw == "nothing":
                raise
        return self.saw


@pytest.fixture(scope="module")
def openssl() -> OpenSsl:
    return OpenSsl()


@pytest.mark.parametrize("line", hellos.recorded(), ids=lambda line: line.client)
@pytest.mark.parametrize("size", [0, 100])
def test_openssl_reads_the_same_name(openssl: OpenSsl, line: hellos.Recorded, size: int) -> None:
    data = hellos.split(line.data, size) if size else line.data
    seen = openssl.name_of(data)
    assert seen == line.name


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(data=st.data())
def test_openssl_sees_no_other_name_in_a_changed_hello(
    openssl: OpenSsl, data: st.DataObject
) -> None:
    """What we read a name in, OpenSSL refuses or reads the same name in."""
    changed = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        match data.draw(st.integers(0, 3)):
            case 0:
                changed[at] = data.draw(st.integers(0, 255))
            case 1:
                del changed[at]
            case 2:
                changed.insert(at, data.draw(st.integers(0, 255)))
            case _:
                changed[at] ^= 1 << data.draw(st.integers(0, 7))
    check_same(openssl, bytes(changed))


# Python can't tell the callback of names that are not ASCII, and refuses the hello.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from([0, 16, 43, 10, 11, 13, 21, 0x0A0A]), st.binary(max_size=12)),
            st.binary(min_size=1, max_size=12).map(server_name),
            NAMES.map(lambda name: server_name(name.encode()[:255])),
            st.just(versions(0x0304)),
            st.just((10, b"\0\x02\0\x1d")),
            st.just((13, b"\0\x02\x04\x03")),
            st.just((51, b"\0\x24\0\x1d\0\x20" + b"k" * 32)),
        ),
        max_size=8,
    ),
    st.integers(40, 500),
)
def test_openssl_sees_no_other_name_in_a_generated_hello(
    openssl: OpenSsl, extensions: hellos.Extensions, size: int
) -> None:
    check_same(openssl, records(message(extensions), size))


SEEDS = (
    hellos.of_openssl("www.example.com", alpn=["http/1.1"]),
    hellos.of_openssl("www.example.com", highest=0x0303),
    hellos.of_openssl(None),
    hellos.split(hellos.of_openssl("a.example"), 150),
    record(message([server_name(b"a.example"), versions(0x0304)])),
)


def check_same(openssl: OpenSsl, sent: bytes) -> None:
    try:
        ours = read_hello(sent)
    except HelloError:
        return
    try:
        theirs = openssl.name_of(sent)
    except ssl.SSLWantReadError:
        assert ours is None
        return
    except ssl.SSLError:
        return
    assert ours is not None
    seen = (theirs or "").lower().removesuffix(".")
    assert ours.server_name in {seen, None}
    if ours.server_name is None and theirs is not None:
        assert not looks_like_a_name(seen)


def looks_like_a_name(name: str) -> bool:
    labels = name.split(".")
    letters = all(c.isascii() and (c.isalnum() or c in "_-") for c in name.replace(".", ""))
    return letters and all(1 <= len(x) <= 63 for x in labels) and not labels[-1].isdigit()
