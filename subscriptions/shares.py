"""Shares of the table: how many keys and nodes each owner has, checked against quotas."""

from uwsgi_router.subscriptions.grant import Quota
from uwsgi_router.subscriptions.refusal import Refused


class _Share:
    __slots__ = ("keys", "nodes", "quota")

    def __init__(self) -> None:
        self.keys: dict[bytes, int] = {}
        self.nodes = 0
        self.quota: Quota | None = None


class Shares:
    """Shares of all owners: their keys and nodes."""

    def __init__(self) -> None:
        self._shares: dict[int, _Share] = {}

    def check(self, owner: int, key: bytes, quota: Quota) -> None:
        """Check that the owner may have one more node, of this key.

        Raises:
            Refused: with the limit that it would exceed.
        """
        share = self._shares.get(owner)
        if share is None:
            return
        if key not in share.keys and len(share.keys) >= quota.max_keys:
            raise Refused("full", f"user {owner} has {quota.max_keys} keys already (max-keys)")
        if share.nodes >= quota.max_nodes:
            raise Refused("full", f"user {owner} has {quota.max_nodes} nodes already (max-nodes)")

    def add(self, owner: int, key: bytes, quota: Quota | None) -> None:
        """Count a node of this key."""
        share = self._shares.setdefault(owner, _Share())
        share.quota = quota
        share.nodes += 1
        share.keys[key] = share.keys.get(key, 0) + 1

    def remove(self, owner: int, key: bytes) -> Quota | None:
        """Count a node off; return its owner's quota."""
        share = self._shares[owner]
        share.nodes -= 1
        share.keys[key] -= 1
        if not share.keys[key]:
            del share.keys[key]
        if not share.nodes:
            del self._shares[owner]
        return share.quota
