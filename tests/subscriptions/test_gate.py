"""All checks together: who gets through, and what the table learns of them."""

import ipaddress
import os
from pathlib import Path

import pytest

from tests.subscriptions.signing import KEY, NODE, NOW, publish, read, rsa_key, signed
from uwsgi_router.protocol.address import Address, InetAddress
from uwsgi_router.protocol.subscription import Command, Subscription
from uwsgi_router.subscriptions.gate import Gate
from uwsgi_router.subscriptions.grant import ANYBODY, Grant, Quota
from uwsgi_router.subscriptions.permission import PortRange, Tenant
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.sender import Credentials, Sender
from uwsgi_router.subscriptions.signature import Signatures, SignCheck

REMOTE = Sender("10.0.0.1", "10.0.0.1")
ME = Credentials(7, os.getuid(), os.getgid())
OTHER = Credentials(8, os.getuid() + 1, os.getgid())
LOCAL = Sender("unix", None, ME)
STRANGER = Sender("unix", None, OTHER)
TENANT = Tenant(
    ME.uid, "alice", (KEY,), ports=(PortRange("10.0.0.1", 3031, 3031),), max_keys=2, max_nodes=3
)


def admit(gate: Gate, sender: Sender, address: str = NODE, command: Command = "subscribe") -> Grant:
    return gate.admit(Subscription(command, KEY, address), sender, NOW)


def cause(gate: Gate, sender: Sender, address: str = NODE, command: Command = "subscribe") -> str:
    with pytest.raises(Refused) as refused:
        admit(gate, sender, address, command)
    return refused.value.cause


@pytest.fixture
def signatures(tmp_path: Path) -> Signatures:
    publish(tmp_path, rsa_key())
    return Signatures(SignCheck("SHA256", str(tmp_path)))


def test_an_open_gate_still_knows_who_came() -> None:
    gate = Gate()
    gate.check_sender(REMOTE, 0.0)
    assert admit(gate, REMOTE) == ANYBODY
    assert admit(gate, LOCAL) == Grant(ME)
    assert cause_of(gate, Subscription("subscribe", KEY, NODE, modifier1=173)) == "modifier"


def cause_of(gate: Gate, subscription: Subscription) -> str:
    with pytest.raises(Refused) as refused:
        gate.admit(subscription, REMOTE, NOW)
    return refused.value.cause


def test_the_router_itself_is_no_node() -> None:
    def is_own(address: Address) -> bool:
        return address == InetAddress("10.0.0.1", 3031)

    gate = Gate(is_own=is_own)
    assert cause(gate, REMOTE) == "router"
    assert cause(gate, REMOTE, ":3031") == "router"
    assert admit(gate, REMOTE, "10.0.0.1:3032") == ANYBODY


def test_networks_and_rate_are_asked_before_anything_is_read() -> None:
    gate = Gate(allow_from=[ipaddress.ip_network("10.0.0.0/8")], rate=1)
    for _ in range(10):
        gate.check_sender(REMOTE, 0.0)
    with pytest.raises(Refused, match="too many"):
        gate.check_sender(REMOTE, 0.0)
    with pytest.raises(Refused, match="network"):
        gate.check_sender(Sender("11.0.0.1", "11.0.0.1"), 0.0)


@pytest.mark.parametrize("command", ["subscribe", "unsubscribe"])
def test_own_address(command: Command) -> None:
    gate = Gate(own_address=True)
    admit(gate, REMOTE, command=command)
    assert cause(gate, REMOTE, "10.0.0.2:3031", command) == "own-address"


def test_who_signs_may_announce_other_addresses(signatures: Signatures) -> None:
    gate = Gate(own_address=True, signatures=signatures)
    datagram = signed(rsa_key(), address="10.0.0.2:3031")
    assert gate.admit(read(datagram), REMOTE, NOW) == ANYBODY
    assert cause(gate, REMOTE) == "unsigned"


@pytest.mark.parametrize("command", ["subscribe", "unsubscribe"])
def test_credentials(command: Command, tmp_path: Path) -> None:
    (tmp_path / KEY.decode()).touch()
    gate = Gate(use_credentials=True, credentials_dirs=[os.fsencode(tmp_path)])
    assert admit(gate, LOCAL, command=command) == Grant(ME, ME.uid)
    assert cause(gate, STRANGER, command=command) == "credentials"
    assert cause(gate, REMOTE, command=command) == "credentials"
    assert cause(gate, Sender("unix"), command=command) == "credentials"


@pytest.mark.parametrize("command", ["subscribe", "unsubscribe"])
def test_tenants(command: Command) -> None:
    gate = Gate(tenants=[TENANT])
    assert admit(gate, LOCAL, command=command) == Grant(ME, ME.uid, ME.uid, Quota(2, 3))
    for sender in (STRANGER, REMOTE, Sender("unix")):
        assert cause(gate, sender, command=command) == "tenant"
    assert cause(gate, LOCAL, "127.0.0.1:6379", command) == "tenant"


def test_signed_announces_over_udp_beside_tenants(signatures: Signatures) -> None:
    """The nodes of other machines; they are nobody's here, so no tenant can touch them."""
    gate = Gate(tenants=[TENANT], signatures=signatures)
    assert gate.admit(read(signed(rsa_key(), NOW)), REMOTE, NOW) == ANYBODY
    assert cause(gate, LOCAL) == "unsigned"
    assert gate.admit(read(signed(rsa_key(), NOW + 1)), LOCAL, NOW).owner == ME.uid
    with pytest.raises(Refused, match="no tenant's"):
        gate.admit(read(signed(rsa_key(), NOW + 2)), Sender("unix"), NOW)


def test_users_that_need_not_sign(signatures: Signatures) -> None:
    gate = Gate(use_credentials=True, signatures=signatures, sign_skip_uids=[ME.uid])
    assert admit(gate, LOCAL).owner == ME.uid
    assert cause(gate, STRANGER) == "unsigned"
    assert "tenants=0" in repr(gate)


def test_what_one_check_refuses_uses_no_signature_up(signatures: Signatures) -> None:
    gate = Gate(tenants=[TENANT], signatures=signatures)
    packet = read(signed(rsa_key(), NOW))
    with pytest.raises(Refused):
        gate.admit(packet, STRANGER, NOW)
    assert gate.admit(packet, LOCAL, NOW).owner == ME.uid
    gate.forget_old(NOW + 100_000)
    assert "remembered=0" in repr(gate)
    Gate().forget_old(NOW)
