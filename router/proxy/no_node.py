"""Failures of requests that no node has taken: which reason, and which option is named."""

from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import Failure
from uwsgi_router.router.core.request import Request
from uwsgi_router.router.proxy.attempts import Attempts
from uwsgi_router.router.proxy.context import Site
from uwsgi_router.router.routing.base import Forwarder


def no_node(
    site: Site,
    request: Request,
    forwarder: Forwarder,
    attempts: Attempts,
    now: float,
    *,
    out_of_time: bool,
) -> Failure:
    """Return the failure of a request without a node.

    Args:
        site: of the request.
        request: it.
        forwarder: for it.
        attempts: that were made.
        now: the loop's clock.
        out_of_time: others were not tried.
    """
    limits, retries = site.limits, site.routing.max_retries
    if attempts.only_busy:
        text = f"{attempts.last_node} took no connection for too long: {attempts.last_error}"
        return Failure(reasons.BUSY, text, limits.connect_timeout)
    if attempts.made:
        text = f"no node took the request, {attempts.last_node} was the last: {attempts.last_error}"
        option, value = "", 0.0
        if attempts.over_budget:
            text += "; too many requests go to further nodes already"
            option, value = "retry-budget", float(site.retries.percent)
        elif out_of_time:
            option, value = "timeout", limits.timeout
        elif attempts.timed_out:
            option, value = "connect-timeout", limits.connect_timeout
        elif retries is not None and attempts.made > retries:
            option, value = "max-retries", float(retries)
        status = reasons.NO_ANSWER_IN_TIME.status if attempts.timed_out else None
        return Failure(attempts.cause, text, value, option=option, status=status)
    if attempts.unable is not None:
        return attempts.unable.refusal
    if not forwarder.is_known(request, now):
        return site.unknown_key()
    if not forwarder.has_nodes(request, now):
        text = "no node has announced this key yet, and the router has just started"
        return Failure(reasons.NO_NODE, text)
    return forwarder.why_none(request)


def hold_expired(hold: float) -> Failure:
    """Return the failure of a request that was held for so many seconds in vain."""
    return Failure(reasons.HOLD_EXPIRED, "no node announced itself in time", hold)


def hold_full(most: int, waiting: int) -> Failure:
    """Return the failure of a request that is one too many; ``waiting`` are held, of ``most``."""
    text = f"no node is up and {waiting} requests wait for one already"
    return Failure(reasons.HOLD_FULL, text, most)
