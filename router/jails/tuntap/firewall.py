"""Firewall of the tuntap router: rules over sources and destinations of packets; a pure function of both.

uWSGI's meaning: the first rule that matches decides, without one a packet is allowed.
"""

from collections.abc import Sequence
from typing import Final

from uwsgi_router.router.config.tuntap_values import FirewallRule

# Verdicts that are remembered; then all are forgotten, so that nobody's addresses fill the memory.
_REMEMBERED: Final = 4096


class Firewall:
    """Chain of rules.

    Args:
        rules: in order.
    """

    def __init__(self, rules: Sequence[FirewallRule]) -> None:
        self._rules = list(rules)
        self._verdicts: dict[bytes, bool] = {}
        self.has_rules = bool(self._rules)

    def allows(self, src: bytes, dst: bytes) -> bool:
        """Return True if packets between these addresses may pass."""
        both = src + dst
        known = self._verdicts.get(both)
        if known is not None:
            return known
        if len(self._verdicts) >= _REMEMBERED:
            self._verdicts.clear()
        verdict = first_match(self._rules, src, dst)
        self._verdicts[both] = verdict
        return verdict


def first_match(rules: Sequence[FirewallRule], src: bytes, dst: bytes) -> bool:
    """Return what the first rule that matches says; True without one."""
    for rule in rules:
        if rule.matches(src, dst):
            return rule.allow
    return True
