"""Who may announce: how it is written, and what is refused because it would check nothing."""

import getpass
import ipaddress
import os

import pytest

from tests.router.config.configuring import Files
from uwsgi_router.router.config.model import SubscriptionConfig
from uwsgi_router.subscriptions.permission import PortRange
from uwsgi_router.subscriptions.signature import SignCheck

UDP = "fastrouter = 127.0.0.1:3031\nfastrouter-subscription-server = 127.0.0.1:3032\n"
UNIX = "fastrouter = 127.0.0.1:3031\nfastrouter-subscription-server = /run/announce.sock\n"
SIGN = "subscriptions-sign-check = SHA256:/keys\n"
CREDENTIALS = "subscriptions-use-credentials = true\n"
TENANT = "subscriptions-tenant = uid=1000,keys=*.alice.example\n"


def subscription(files: Files, text: str) -> SubscriptionConfig:
    return files.load(text).subscription


def test_signatures(files: Files) -> None:
    config = subscription(files, UDP + SIGN + "subscriptions-sign-check-tolerance = 60")
    assert config.sign_check == SignCheck("SHA256", "/keys")
    assert config.sign_tolerance == 60
    assert subscription(
        files, UDP + "subscriptions-sign-check = sha1:k:eys"
    ).sign_check == SignCheck("SHA1", "k:eys")


def test_networks_and_addresses(files: Files) -> None:
    config = subscription(
        files,
        UDP + "subscriptions-allow-from = 10.0.0.0/8\nsubscriptions-allow-from = fd00::1\n"
        "subscriptions-own-address = true\nsubscription-max-rate = 7",
    )
    assert config.allow_from == (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("fd00::1/128"),
    )
    assert config.own_address
    assert config.max_rate == 7


def test_users(files: Files) -> None:
    config = subscription(
        files,
        UNIX + SIGN + CREDENTIALS + "subscriptions-credentials-check = /a/\n"
        "subscriptions-credentials-check = /b\nsubscriptions-sign-skip-uid = 1000\n"
        "subscription-chmod-socket = 660",
    )
    assert config.use_credentials
    assert config.credentials_dirs == ("/a/", "/b")
    assert config.sign_skip_uids == (1000,)
    assert config.chmod_socket == 0o660


def test_a_tenant(files: Files) -> None:
    me = getpass.getuser()
    (tenant,) = subscription(
        files,
        UNIX + f"subscriptions-tenant = uid={me},keys=*.Alice.example|ALICE.example,"
        "nodes=/srv/alice/*|127.0.0.1:4000-4099|[::1]:80|app.example:81,max-keys=20,max-nodes=30",
    ).tenants
    assert (tenant.uid, tenant.name) == (os.getuid(), me)
    assert tenant.keys == (b"*.alice.example", b"alice.example")
    assert tenant.paths == (b"/srv/alice/*",)
    assert tenant.ports == (
        PortRange("127.0.0.1", 4000, 4099),
        PortRange("::1", 80, 80),
        PortRange("app.example", 81, 81),
    )
    assert (tenant.max_keys, tenant.max_nodes) == (20, 30)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("subscriptions-sign-check = /keys", "expected DIGEST:DIRECTORY"),
        ("subscriptions-sign-check = SHA256:", "expected DIGEST:DIRECTORY"),
        ("subscriptions-sign-check = ROT13:/keys", "expected a digest"),
        ("subscriptions-sign-skip-uid = 0", "expected another user than root"),
        ("subscriptions-sign-skip-uid = root", "expected another user than root"),
        ("subscriptions-sign-skip-uid = no-such-user", "expected a user of this machine"),
        ("subscriptions-sign-skip-uid = 65534", "expected a user of its own"),
        ("subscriptions-allow-from = 10.0.0.0/8,11.0.0.0/8", "expected one network"),
        ("subscriptions-allow-from = 10.0.0.1/8", "expected one network"),
        ("subscriptions-tenant = uid=1000", "expected uid=USER and keys=PATTERN"),
        ("subscriptions-tenant = keys=a", "expected uid=USER and keys=PATTERN"),
        ("subscriptions-tenant = uid=1000,keys=a,quota=3", "'quota=3' is none of these"),
        ("subscriptions-tenant = uid=1000,keys=a,keys=b", "expected keys only once"),
        ("subscriptions-tenant = uid=1000,keys=a||b", "expected patterns"),
        ("subscriptions-tenant = uid=1000,keys=*.", "expected a pattern without a final dot"),
        ("fastrouter-subscription-fallback-key = two words", "'two words' holds a blank"),
        ("fastrouter-subscription-fallback-key = .", "names no host"),
        ("subscriptions-tenant = uid=65534,keys=a", "expected a user of its own"),
        ("subscriptions-tenant = uid=1000,keys=a,max-keys=0", "for max-keys"),
        ("subscriptions-tenant = uid=1000,keys=a,nodes=4000", "expected /PATH/*, HOST:PORT"),
        ("subscriptions-tenant = uid=1000,keys=a,nodes=:4000", "expected /PATH/*, HOST:PORT"),
        ("subscriptions-tenant = uid=1000,keys=a,nodes=0.0.0.0:4000", "expected /PATH/*"),
        ("subscriptions-tenant = uid=1000,keys=a,nodes=127.0.0.1:5-4", "expected /PATH/*"),
        ("subscriptions-tenant = uid=1000,keys=a,nodes=127.0.0.1:4-x", "expected HOST:PORT"),
        ("subscriptions-tenant = uid=1000,keys=a,nodes=127.1:4", "expected HOST:PORT"),
        ("fastrouter-resubscribe = :3032", "expected where the other router is found"),
        ("fastrouter-resubscribe = 10.0.0.1:0", "expected where the other router is found"),
        ("fastrouter-resubscribe = 10.0.0.1", "expected where the other router is found"),
        ("subscription-tee = 0.0.0.0:3032", "expected where the other router is found"),
        ("subscription-tee = a:b", "expected host:port, [v6]:port or a socket path"),
        ("sni-allow-dir = certificates", "expected the absolute path of a directory below /"),
        ("sni-allow-dir = //", "expected the absolute path of a directory below /"),
        ("subscription-state =", "expected a value"),
    ],
)
def test_what_can_not_be_read(line: str, expected: str, files: Files) -> None:
    (error,) = files.errors(UNIX + line)
    assert error.startswith(f"router.ini:4: {line.partition(' ')[0]}: ")
    assert expected in error


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            UNIX + "subscriptions-credentials-check = /keys/",
            "subscriptions-credentials-check needs subscriptions-use-credentials",
        ),
        (
            UNIX + SIGN + "subscriptions-sign-skip-uid = 1000",
            "subscriptions-sign-skip-uid needs subscriptions-use-credentials",
        ),
        (
            UNIX + CREDENTIALS + "subscriptions-sign-skip-uid = 1000",
            "subscriptions-sign-skip-uid exempts from nothing",
        ),
        (
            UDP + "subscriptions-sign-check-tolerance = 5",
            "subscriptions-sign-check-tolerance checks nothing",
        ),
        (UDP + "subscriptions-sign-command = true", "subscriptions-sign-command checks nothing"),
        (UNIX + CREDENTIALS, "subscriptions-use-credentials alone lets every user announce"),
        (
            UDP + CREDENTIALS + "subscriptions-credentials-check = /keys/",
            "fastrouter-subscription-server = 127.0.0.1:3032: with subscriptions-use-credentials nothing is taken",
        ),
        (
            UNIX + "subscriptions-allow-from = 10.0.0.0/8",
            "subscriptions-allow-from checks nothing: there is no subscription server on UDP",
        ),
        (UNIX + "subscriptions-own-address = true", "subscriptions-own-address checks nothing"),
        (UDP + SIGN + TENANT, "subscriptions-tenant checks nothing"),
        (
            UNIX + "fastrouter-subscription-server = 127.0.0.1:3032\n" + TENANT,
            "fastrouter-subscription-server = 127.0.0.1:3032: UDP does not say which tenant sends",
        ),
        (
            UNIX + TENANT + "subscriptions-tenant = uid=1000,keys=other",
            "subscriptions-tenant: there are two for the user 1000",
        ),
        (
            UNIX + TENANT + "subscription-max-keys = 99",
            "subscriptions-tenant: together they may have 100 keys, the table holds 99",
        ),
        (
            UNIX + "subscriptions-tenant = uid=1000,keys=a,max-nodes=100001",
            "subscriptions-tenant: together they may have 100001 nodes, the table holds 100000",
        ),
    ],
)
def test_what_would_check_nothing_is_refused(text: str, error: str, files: Files) -> None:
    assert [found for found in files.wrong(text) if found.startswith(error)]


@pytest.mark.parametrize(
    "text",
    [
        UDP + SIGN,
        UDP.replace("127.0.0.1:3032", "0.0.0.0:3032") + SIGN,
        UDP + "subscriptions-allow-from = 127.0.0.0/8\nsubscriptions-own-address = true",
        UNIX + TENANT,
        UNIX + TENANT + CREDENTIALS,
        UNIX + "fastrouter-subscription-server = :3032\n" + SIGN + TENANT,
        UNIX + CREDENTIALS + "subscriptions-credentials-check = /keys/",
        UNIX + SIGN + CREDENTIALS + "subscriptions-sign-skip-uid = 1000",
        UNIX,
        UDP.replace("127.0.0.1:3032", "localhost:3032"),
        UDP.replace("127.0.0.1:3032", "[::1]:3032"),
    ],
)
def test_what_fits_together(text: str, files: Files) -> None:
    assert files.wrong(text) == []
    assert files.odd(text) == []


@pytest.mark.parametrize(
    "address", [":3032", "0.0.0.0:3032", "10.0.0.1:3032", "[::]:3032", "a.b:3032"]
)
def test_an_unsigned_udp_socket_beyond_loopback_is_warned_of(address: str, files: Files) -> None:
    text = UDP.replace("127.0.0.1:3032", address)
    (warning,) = files.odd(text)
    assert warning.startswith(
        f"fastrouter-subscription-server = {address}: whoever can send datagrams there can claim"
    )
    (warning,) = files.odd(text + "subscriptions-allow-from = 10.0.0.0/8")
    assert "can be forged" in warning


def test_other_routers_and_other_runs(files: Files) -> None:
    config = subscription(
        files,
        UDP + "fastrouter-resubscribe = 10.0.0.1:3032\nfastrouter-resubscribe = /run/other\n"
        "fastrouter-resubscribe-bind = 10.0.0.2:0\nsubscription-tee = second.example:3032\n"
        "sni-allow-dir = /etc/letsencrypt\nsubscription-state = /var/lib/state",
    )
    assert config.resubscribe == ("10.0.0.1:3032", "/run/other")
    assert config.resubscribe_bind == "10.0.0.2:0"
    assert config.tee == ("second.example:3032",)
    assert config.sni_allow_dirs == ("/etc/letsencrypt",)
    assert config.state == "/var/lib/state"


def test_without_a_subscription_server_nothing_is_passed_on_or_kept(files: Files) -> None:
    lines = "subscription-tee = 10.0.0.1:1\nsubscription-state = /s\nsni-allow-dir = /c\n"
    assert files.odd("fastrouter = 127.0.0.1:1\nfastrouter-to = :2\n" + lines) == [
        f"{name} has no effect: there is no subscription server"
        for name in ("subscription-tee", "subscription-state", "sni-allow-dir")
    ]
    assert files.odd(UDP + "fastrouter-resubscribe-bind = 10.0.0.1:1") == [
        "fastrouter-resubscribe-bind without fastrouter-resubscribe has no effect"
    ]


def test_other_oddities(files: Files) -> None:
    md5 = UDP + "subscriptions-sign-check = MD5:/keys"
    assert files.odd(md5) == [
        "subscriptions-sign-check = MD5:/keys: MD5 is broken; sign with SHA256"
    ]
    (warning,) = files.odd(UDP + SIGN + "subscriptions-own-address = true")
    assert warning.startswith("subscriptions-own-address has no effect")
    static = "fastrouter = 127.0.0.1:3031\nfastrouter-to = 127.0.0.1:1\n"
    assert files.odd(static + SIGN + TENANT) == [
        "subscriptions-sign-check has no effect: there is no subscription server",
        "subscriptions-tenant has no effect: there is no subscription server",
    ]


def test_routers_with_the_same_nodes_have_to_believe_the_same(files: Files) -> None:
    both = UDP + "http = 127.0.0.1:3080\nhttp-subscription-server = 127.0.0.1:3032\n"
    assert files.wrong(both) == []
    (error,) = files.wrong(both + "http-backend-insecure = true\n")
    assert error.startswith("http-subscription-server = 127.0.0.1:3032: fastrouter has these nodes")
    assert (
        files.wrong(both + "http-backend-insecure = true\nfastrouter-backend-insecure = true\n")
        == []
    )
    apart = both.replace("http-subscription-server = 127.0.0.1:3032", "http-to = 127.0.0.1:3033")
    assert files.wrong(apart + "http-backend-insecure = true\n") == []
