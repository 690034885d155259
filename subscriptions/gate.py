"""Admission control of announces: rate limit, networks, credentials, tenants, signatures.

An unsubscribe has to pass the checks of a subscribe; in uWSGI it passes most without, so anybody
can remove nodes (plugins/corerouter/cr_common.c). All checks that are configured must be passed.
"""

from collections.abc import Callable, Sequence
from typing import Final

from uwsgi_router.protocol.address import Address
from uwsgi_router.protocol.subscription import Subscription
from uwsgi_router.subscriptions.credentials import may_use_key
from uwsgi_router.subscriptions.grant import ANYBODY, Grant, Quota
from uwsgi_router.subscriptions.node_address import node_address
from uwsgi_router.subscriptions.permission import (
    Network,
    Tenant,
    check_modifiers,
    check_network,
    check_own_address,
)
from uwsgi_router.subscriptions.rate import RateLimit
from uwsgi_router.subscriptions.refusal import Refused
from uwsgi_router.subscriptions.replay import ReplayMemory
from uwsgi_router.subscriptions.sender import Sender
from uwsgi_router.subscriptions.signature import Signatures

TOO_MANY: Final = "it sends too many datagrams (subscription-max-rate)"


def never_own(_address: Address) -> bool:
    """Return False: the default ``is_own``, for which no address is the router's own."""
    return False


class Gate:
    """Admission control: the checks that are configured, in order.

    Args:
        rate: datagrams per second and source.
        allow_from: networks that datagrams may come from; empty: any.
        is_own: tells the router's own addresses.
        own_address: over UDP, an unsigned announce must be about the sender's own address.
        use_credentials: senders have to be processes of this machine; nodes belong to their users.
        credentials_dirs: where a file named like the key has to belong to the sender.
        tenants: users, and what each may announce over UNIX sockets; empty: no such limits.
        signatures: what verifies signatures; None: nobody has to sign.
        sign_skip_uids: users whose processes need not sign.

    Attributes:
        rates: what each sender may still send.
    """

    def __init__(
        self,
        *,
        rate: float = 0,
        allow_from: Sequence[Network] = (),
        is_own: Callable[[Address], bool] = never_own,
        own_address: bool = False,
        use_credentials: bool = False,
        credentials_dirs: Sequence[bytes] = (),
        tenants: Sequence[Tenant] = (),
        signatures: Signatures | None = None,
        sign_skip_uids: Sequence[int] = (),
    ) -> None:
        self.rates = RateLimit(rate)
        self._allow_from = allow_from
        self._is_own = is_own
        self._own_address = own_address
        self._use_credentials = use_credentials
        self._credentials_dirs = credentials_dirs
        self._tenants = {tenant.uid: tenant for tenant in tenants}
        self._signatures = signatures
        self._sign_skip_uids = frozenset(sign_skip_uids)

    def __repr__(self) -> str:
        return f"<Gate tenants={len(self._tenants)} signatures={self._signatures!r}>"

    @property
    def used_times(self) -> ReplayMemory | None:
        """Times of signed packets that were used; None if nobody has to sign."""
        return None if self._signatures is None else self._signatures.used

    def check_sender(self, sender: Sender, now: float) -> None:
        """Check the rate and the network of a sender, before its datagram is read.

        Raises:
            Refused: it sends too many, or comes from a network that it may not come from.
        """
        if self._allow_from:
            check_network(self._allow_from, sender)
        if not self.rates.allows(sender, now):
            raise Refused("rate", TOO_MANY)

    def admit(self, subscription: Subscription, sender: Sender, wall: float) -> Grant:
        """Check an announce; return the grant of its sender.

        Args:
            subscription: what it says.
            sender: who says it; :meth:`check_sender` has been asked.
            wall: seconds since the epoch.

        Raises:
            Refused: with the first check that is not passed.
        """
        address, grant = self._admit_unsigned(subscription, sender)
        if self._signatures is not None and self._must_sign(sender):
            self._signatures.verify(subscription, sender, wall)
        self._check_not_own(address)
        return grant

    def readmit(self, subscription: Subscription, sender: Sender, *, signed: bool) -> Grant:
        """Check an announce that an earlier run has admitted; return the grant of its sender.

        All is asked again that can be: networks, users, tenants, sockets. Its signature is not
        there any more: it has to do that it was verified then, if its public key still is there.

        Args:
            subscription: what it said.
            sender: who said it.
            signed: the earlier run asked for signatures too.

        Raises:
            Refused: with the first check that is not passed.
        """
        if self._allow_from:
            check_network(self._allow_from, sender)
        address, grant = self._admit_unsigned(subscription, sender)
        if self._signatures is not None and self._must_sign(sender):
            if not signed:
                raise Refused("unsigned", "it did not have to be signed then, and has to be now")
            self._signatures.check_key_file(subscription.key)
        self._check_not_own(address)
        return grant

    def _must_sign(self, sender: Sender) -> bool:
        credentials = sender.credentials
        return credentials is None or credentials.uid not in self._sign_skip_uids

    def _admit_unsigned(self, subscription: Subscription, sender: Sender) -> tuple[Address, Grant]:
        """Check everything but the signature, and whether the address is the router's own."""
        address = node_address(subscription.address, sender.source)[1]
        check_modifiers(subscription)
        grant = self._of_user(subscription, sender, address)
        if self._own_address and self._signatures is None:
            check_own_address(address, sender)
        return address, grant

    def _check_not_own(self, address: Address) -> None:
        # Last, for it looks at a path of the sender's choice, which might be on a slow file system.
        if self._is_own(address):
            raise Refused(
                "router", f"{address} is this router itself: requests would go in circles"
            )

    def forget_old(self, wall: float) -> None:
        """Free the space of used times that are too old; to be called now and then."""
        if self._signatures is not None:
            self._signatures.forget_old(wall)

    def _of_user(self, subscription: Subscription, sender: Sender, address: Address) -> Grant:
        """Check the credentials and the tenant of a sender on this machine."""
        credentials = sender.credentials
        if credentials is None:
            if self._use_credentials:
                raise Refused("credentials", "nobody vouches for its user")
            if self._tenants and (sender.source is None or self._signatures is None):
                raise Refused("tenant", "nobody vouches for its user, so it is no tenant's")
            return ANYBODY
        uid = credentials.uid
        if self._credentials_dirs and not may_use_key(
            credentials, self._credentials_dirs, subscription.key
        ):
            raise Refused(
                "credentials",
                f"user {uid}, group {credentials.gid} have no file for the key"
                f" {subscription.key!r} (subscriptions-credentials-check)",
            )
        if not self._tenants:
            return Grant(credentials, uid if self._use_credentials else None)
        tenant = self._tenants.get(uid)
        if tenant is None:
            raise Refused("tenant", f"user {uid} is no subscriptions-tenant")
        tenant.check(subscription, address)
        return Grant(credentials, uid, uid, Quota(tenant.max_keys, tenant.max_nodes))
