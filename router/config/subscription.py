"""Configuration of the table of announced nodes: who may announce what, balancing, health checks, other routers."""

from dataclasses import dataclass
from typing import Final, Literal

from uwsgi_router.router.config import announce_values as announces
from uwsgi_router.router.config import values
from uwsgi_router.router.config.check_values import CHECK
from uwsgi_router.router.config.health_checks import Checks
from uwsgi_router.router.config.option import Provenance, Spelling, option, switch
from uwsgi_router.router.config.values import integer, seconds
from uwsgi_router.subscriptions.permission import Network, Tenant
from uwsgi_router.subscriptions.signature import SignCheck

SUBSCRIPTIONS: Final = "subscriptions"
WHO: Final = "who may announce"
ELSEWHERE: Final = "other routers and other runs"
HEALTH: Final = "health of nodes"
_OURS: Final = Provenance.OURS
_UNRELEASED: Final = Provenance.UNRELEASED


@dataclass(frozen=True, slots=True)
class SubscriptionConfig:
    """The table of announced nodes; shared by the routers that name the same server address."""

    tolerance: float = option(
        "subscription-tolerance",
        seconds(zero=17.0),
        "A node that was silent for so long is not chosen while another lives.",
        default=17.0,
    )
    algorithm: Literal["wrr", "lrc", "wlrc", "iphash", "least"] = option(
        "subscription-algo",
        values.choice("wrr", "lrc", "wlrc", "iphash", "least"),
        "How a node of a key is chosen, unless its first announce says otherwise.",
        default="wrr",
    )
    dotsplit: bool = switch(
        "subscription-dotsplit", "If www.example.com has no node, look for .example.com, then .com."
    )
    mountpoints: int = option(
        "subscription-mountpoints",
        integer("N", 0, 64),
        "The first N segments of the path belong to the key.",
        default=0,
        aliases=("subscription-mountpoint",),
        origin=_UNRELEASED,
    )
    max_keys: int = option(
        "subscription-max-keys",
        integer("N", 1, 10_000_000),
        "Keys that may be known at once.",
        default=10_000,
        origin=_OURS,
    )
    max_nodes_per_key: int = option(
        "subscription-max-nodes",
        integer("N", 1, 1_000_000),
        "Nodes that one key may have.",
        default=1_000,
        origin=_OURS,
    )
    slow_start: float = option(
        "subscription-slow-start",
        seconds(zero=0.0),
        "A node that comes, or comes back, gets its whole share of the requests only after so long.",
        default=0.0,
        origin=_OURS,
        zero="at once",
    )
    sign_check: SignCheck | None = option(
        "subscriptions-sign-check",
        announces.SIGN_CHECK,
        "Announces must be signed; the key's public key is KEY.pem in this directory.",
        default=None,
        group=WHO,
    )
    sign_tolerance: float | None = option(
        "subscriptions-sign-check-tolerance",
        seconds(zero=86_400.0),
        "A signed announce may be so old.",
        default=None,
        group=WHO,
        shown="86400; 0 means 86400",
    )
    sign_command: bool = switch(
        "subscriptions-sign-command",
        "Refuse signed announces whose signature does not cover their command: those of uWSGI's own clients.",
        group=WHO,
        origin=_OURS,
    )
    sign_skip_uids: tuple[int, ...] = option(
        "subscriptions-sign-skip-uid",
        announces.SKIPPED_UID,
        "Processes of this user need not sign; over UNIX sockets, with subscriptions-use-credentials.",
        default=(),
        group=WHO,
        repeatable=True,
    )
    use_credentials: bool = switch(
        "subscriptions-use-credentials",
        "Only processes of this machine may announce, and each node belongs to its user; over UNIX sockets.",
        group=WHO,
    )
    credentials_dirs: tuple[str, ...] = option(
        "subscriptions-credentials-check",
        values.DIRECTORY,
        "User and group of a file named like the key in this directory must be the sender's.",
        default=(),
        group=WHO,
        repeatable=True,
    )
    allow_from: tuple[Network, ...] = option(
        "subscriptions-allow-from",
        announces.NETWORK,
        "Take UDP announces only from this network; a source address can be forged, a signature can't.",
        default=(),
        group=WHO,
        repeatable=True,
        origin=_OURS,
    )
    own_address: bool = switch(
        "subscriptions-own-address",
        "Over UDP a sender may announce only nodes at its own address.",
        group=WHO,
        origin=_OURS,
    )
    tenants: tuple[Tenant, ...] = option(
        "subscriptions-tenant",
        announces.TENANT,
        "What a user may announce over UNIX sockets; also nodes=/PATH/*|HOST:PORT-PORT, max-keys=N, max-nodes=N.",
        default=(),
        group=WHO,
        repeatable=True,
        origin=_OURS,
    )
    max_rate: int = option(
        "subscription-max-rate",
        integer("N", 0, 1_000_000),
        "Datagrams per second that one source may send in the long run.",
        default=2_000,
        group=WHO,
        origin=_OURS,
        zero="any number",
    )
    chmod_socket: int | None = option(
        "subscription-chmod-socket",
        values.MODE,
        "Mode of subscription servers that are UNIX sockets; not given: by the umask, with tenants 666.",
        default=None,
        group=WHO,
        origin=_OURS,
    )
    resubscribe: tuple[str, ...] = option(
        "fastrouter-resubscribe",
        announces.SERVER,
        "Announce this router to the subscription server of another one, as a node of each key that has nodes here.",
        default=(),
        group=ELSEWHERE,
        repeatable=True,
        spellings=(
            Spelling(
                "http-resubscribe",
                None,
                "The same, in the words of the HTTP router: what is announced follows from the table, not from the"
                " router.",
            ),
        ),
    )
    resubscribe_bind: str | None = option(
        "fastrouter-resubscribe-bind",
        values.DATAGRAM,
        "Announce it from this address.",
        default=None,
        group=ELSEWHERE,
        needs=("resubscribe",),
    )
    tee: tuple[str, ...] = option(
        "subscription-tee",
        announces.SERVER,
        "Send each accepted announce on to another subscription server, unchanged.",
        default=(),
        group=ELSEWHERE,
        repeatable=True,
        origin=_OURS,
    )
    sni_allow_dirs: tuple[str, ...] = option(
        "sni-allow-dir",
        announces.DIRECTORY_BELOW,
        "Take announced certificates (sni_key, sni_crt, sni_ca) from below this directory.",
        default=(),
        group=ELSEWHERE,
        repeatable=True,
        origin=_OURS,
    )
    state: str | None = option(
        "subscription-state",
        values.FILE,
        "Keep the table of nodes in this file, so that a restarted router knows them at once.",
        default=None,
        group=ELSEWHERE,
        origin=_OURS,
        shown="the file nodes in $STATE_DIRECTORY, if systemd gives one",
    )
    expected_keys: tuple[str, ...] = option(
        "subscription-expect-key",
        values.KEY,
        "Requests for this key wait for a node (with …-hold) although none has ever announced it, and get none of"
        " another key.",
        default=(),
        group=ELSEWHERE,
        repeatable=True,
        origin=_OURS,
    )
    check: Checks | None = option(
        "subscription-check",
        CHECK,
        "Ask announced nodes at intervals whether they serve: ping uwsgi nodes, GET /PATH of HTTP nodes;"
        " also status=200-399, host=NAME, interval=10, rise=2, fall=3, timeout=5, first=check.",
        default=None,
        group=HEALTH,
        origin=_OURS,
    )
    max_fails: int = option(
        "subscription-max-fails",
        integer("N", 0, 1_000_000),
        "A node that failed so many requests in a row is ejected while others serve.",
        default=5,
        group=HEALTH,
        origin=_OURS,
        zero="never",
    )
