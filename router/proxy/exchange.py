"""Exchange: one request from client to node and its answer back, with retry and failure handling."""

import asyncio
import errno
from typing import Final

from uwsgi_router.router.backs.back import Back
from uwsgi_router.router.core import reasons
from uwsgi_router.router.core.failure import ClientGone, Failure, TimedOut, without_traceback
from uwsgi_router.router.core.reasons import Blame
from uwsgi_router.router.core.request import REPEATABLE_IF_KEPT, Request
from uwsgi_router.router.net.connect import BUSY, SHORTAGE
from uwsgi_router.router.net.fiber import Fiber, Phase
from uwsgi_router.router.proxy.answers.answer import Answer, SecondTry
from uwsgi_router.router.proxy.answers.message import MAX_HEAD, MessageAnswer
from uwsgi_router.router.proxy.answers.raw import RawAnswer, RawDownload
from uwsgi_router.router.proxy.answers.relay import RelayAnswer
from uwsgi_router.router.proxy.body import Body
from uwsgi_router.router.proxy.client import Client
from uwsgi_router.router.proxy.connection import RunningRequest
from uwsgi_router.router.proxy.context import Context, Site
from uwsgi_router.router.proxy.directions import Answers
from uwsgi_router.router.proxy.lease import Lease
from uwsgi_router.router.proxy.route import Route
from uwsgi_router.router.report.requests import Outcome
from uwsgi_router.subscriptions.node import Node

# uWSGI's workers refuse larger packets unless told otherwise: its users' most common complaint.
DEFAULT_WORKER_BUFFER: Final = 4096
# The connection was made and broke before it took a byte: nothing is marked, and nothing was sent.
_BROKE: Final = frozenset({errno.EPIPE, errno.ECONNRESET})
_CONNECT: Final = Phase.CONNECT


class Exchange(RunningRequest):
    """Exchange: one request on its way; dies with it.

    Args:
        context: of the router.
        client: the client's side of the request.
        request: as parsed.
        started: beginning, on the monotonic clock in seconds: uvloop's own has only milliseconds.

    Attributes:
        body: of the request.
        route: the nodes that were tried.
        lease: lease of the node that was tried last.
        reason: word for the failure; "": there was a whole answer.
    """

    __slots__ = (
        "_head",
        "body",
        "client",
        "context",
        "fiber",
        "lease",
        "reason",
        "request",
        "route",
        "site",
        "started",
    )

    def __init__(self, context: Context, client: Client, request: Request, started: float) -> None:
        self.context = context
        self.site: Site = context.site
        self.client = client
        self.fiber: Fiber = client.connection.fiber
        self.request = request
        self.body: Body = client.body
        self.started = started
        self.route = Route(context, self.fiber, request, self.body)
        self.lease: Lease | None = None
        self.reason = ""
        # What RunningRequest.__init__ does, without the call.
        self.open_answer = None
        self._head = b""

    def __repr__(self) -> str:
        return f"<Exchange {self.client.connection.id} {self.request!r}>"

    # --- the story of a request ---

    async def serve(self) -> None:
        """Find a node for the request, hand it over, pass the answer back, and count the outcome.

        Raises:
            ClientGone: the client left.
        """
        request, route, body, client, site = (
            self.request,
            self.route,
            self.body,
            self.client,
            self.site,
        )
        counters = site.reporter.counters
        counters.requests += 1
        failure = None
        try:
            if site.limits.post_buffering and body.collects:
                await self._collect()
            while not client.begun:
                node = route.next_nowait() or await route.next()
                back = site.back_of(node)
                if request.chunked and body.spool is None and back.needs_length(request):
                    await self._collect()
                    if not node.takes_requests:
                        # It left, or was drained, while the body came.
                        route.put_back()
                        continue
                lease = self._lease_nowait(node, back) or await self._lease_later(node)
                if lease is not None:  # else the route knows why: next node
                    answer = self._answer_from(lease, back)
                    try:
                        await answer.relay()
                    finally:
                        body.leave()
                        lease.close()
                    if not client.begun:
                        self._retry_or_fail(answer)
            if (
                client.link.backlog
                or answer.download.error is not None
                or body.spool is not None
                or not (body.empty or body.complete)
            ):
                await self._deliver(answer)
            assert lease is not None
            route.owner.request_answered(lease.node)
        except ClientGone:
            counters.client_aborts += 1
            self.reason = "client"
            raise
        except asyncio.CancelledError:
            # The router stops at once: clients are cut off, which is what was asked for.
            self.reason = "stopped"
            counters.failed[self.reason] += 1
            raise
        except Failure as exc:
            failure = without_traceback(exc)
        except BaseException:
            self.reason = "bug"
            counters.failed[self.reason] += 1
            raise
        finally:
            # After an answer there is nothing left to release but a collected body, and the place of a retry.
            if not client.begun or body.spool is not None or route.budgeted:
                self._release()
        # Not where it was caught: a compiled coroutine that waits there lends what it caught to all others.
        if failure is not None:
            await self._fail(failure)
        else:
            counters.completed += 1

    # --- what it holds ---

    def _release(self) -> None:
        """Release the lease, a reserved connection, the spooled body."""
        if self.lease is not None:
            self.lease.close()
        self.route.close()
        self.body.close()

    async def _collect(self) -> None:
        """Spool the body, if there may be a node for it."""
        self.site.refuse_unknown(self.request, self.context.poller.now)
        await self.body.collect(self.site.spool_memory)

    def _answer_from(self, lease: Lease, back: Back) -> Answer:
        site, link, request = self.site, lease.link, self.request
        assert link is not None
        limits = site.limits
        size = limits.buffer_size
        if back.is_opaque(request):
            if back.relays:
                return RelayAnswer(site, request, self.client, lease, back, link)
            raw = RawDownload(link, self.fiber, size, self.body)
            answer: Answer = RawAnswer(site, request, self.client, lease, back, raw)
        else:
            head_first = Answers(link, self.fiber, size, MAX_HEAD + 1)
            answer = MessageAnswer(site, request, self.client, lease, back, head_first)
        if limits.first_byte_timeout and request.repeatable and not self.route.resent:
            answer.second_try = SecondTry(self.route, limits.first_byte_timeout)
        return answer

    # --- the lease ---

    def _lease_nowait(self, node: Node, back: Back) -> Lease | None:
        """Return a lease of ``node`` that has taken the head; None if it has to be waited for, or failed."""
        request, route, site = self.request, self.route, self.site
        fiber, context = self.fiber, self.context
        fiber.phase = _CONNECT
        if route.tries > 1 and route.begins_retry():
            site.reporter.counters.retries += 1
        lease = self.lease = Lease(context, fiber, self.body, node, route.owner)
        spool = self.body.spool
        collected = None if spool is None else spool.length
        try:
            head = self._head = back.request_head(request, node, collected)
        except Failure as refusal:
            self._give_up()
            route.cannot_say(back, without_traceback(refusal))
            return None
        if back.keeps_connections:
            limit = site.connection_limit(node)
            if route.granted is node:
                route.granted = None
            elif not context.upstreams.reserve(node, limit):
                route.full(node)
                self._give_up()
                return None
            lease.slot = True
            if not (route.resent or request.raw):
                repeatable = request.method in REPEATABLE_IF_KEPT and not request.has_body
                if lease.take_kept(head, repeatable=repeatable):
                    return lease
            context.upstreams.make_room(node, limit)
        if not route.connects_until:
            route.connects_until = context.poller.now + site.limits.timeout
        try:
            connected = lease.connect_nowait(head)
        except OSError as exc:
            self._connect_failed(lease, exc)
            return None
        return lease if connected else None

    async def _lease_later(self, node: Node) -> Lease | None:
        """Wait for the connect of the lease, if one is under way; None if it failed, which the route knows."""
        lease = self.lease
        if lease is None:
            return None
        try:
            await lease.connect(self._head, self.route.connects_until)
        except (OSError, TimedOut) as exc:
            self._connect_failed(lease, exc)
            return None
        except BaseException:
            node.connect_abandoned()
            raise
        return lease

    def _give_up(self) -> None:
        if self.lease is not None:
            self.lease.close()
            self.lease = None

    def _connect_failed(self, lease: Lease, error: OSError | TimedOut) -> None:
        """Record a failed connect: against the node, or only for this request (busy, local resource limits)."""
        node, route, reporter = lease.node, self.route, self.site.reporter
        self._give_up()
        now = self.context.poller.now
        if isinstance(error, TimedOut):
            reporter.unable_to_connect(node, route.failures, "timeout")
            route.owner.connect_failed(node, now, timed_out=True)
            route.failed(node, "timeout", timed_out=True)
            return
        text = error.strerror or str(error)
        if error.errno in BUSY or error.errno in SHORTAGE:
            node.connect_abandoned()
            route.busy(node, text)
            if error.errno in SHORTAGE:
                reporter.shortage(node, text)
                self.context.descriptors.find_room()
            return
        reporter.unable_to_connect(node, route.failures, text)
        if error.errno in _BROKE:
            node.connect_abandoned()
        else:
            route.owner.connect_failed(node, now, timed_out=False)
        route.failed(node, text)

    # --- the end ---

    def _retry_or_fail(self, answer: Answer) -> None:
        """Prepare a retry after an attempt without a byte of an answer: once, and only if that is safe.

        Raises:
            Failure: if it is not.
        """
        if answer.second_try is not None and answer.second_try.moved_on:
            self.site.reporter.counters.resent += 1
            return
        answer.suspect_silence("ends the connection without a byte")
        lease, back, error = answer.lease, answer.back, answer.download.error
        request, route, node = self.request, self.route, lease.node
        how = (error.strerror or str(error)) if error is not None else "closed"
        text = f"ended the connection without an answer ({how})"
        if back.packets and lease.head_size > DEFAULT_WORKER_BUFFER:
            # Any client could make a node look ill like that.
            text += f"; the packet has {lease.head_size} bytes, is the node's buffer-size larger than that?"
        elif not lease.reused:
            # That a kept connection was closed is no fault.
            route.owner.request_failed(node, self.context.poller.now)
        again = not request.has_body and self.body.untouched and not route.resent
        if again and lease.reused and request.method in REPEATABLE_IF_KEPT:
            route.same_again(node)
        elif again and request.repeatable:
            route.sent_again()
            route.failed(node, text, cause=reasons.NO_ANSWER)
        else:
            raise Failure(reasons.NO_ANSWER, f"{node.name} {text}")
        self.site.reporter.counters.resent += 1

    async def _deliver(self, answer: Answer) -> None:
        """Wait until the client has got the last byte of an answer.

        Raises:
            Failure: the answer is not complete, or the client does not take it.
        """
        client = self.client
        self.body.close()
        await client.finish()
        if answer.broke:
            text = f"{answer.lease.node.name} reset its connection after {answer.download.count} bytes of its answer"
            raise Failure(reasons.RESET, text)
        if not self.body.complete:
            await client.linger()

    async def _fail(self, failure: Failure) -> None:
        """Count, log and answer a failure."""
        self.reason = failure.reason
        lease, route = self.lease, self.route
        if failure.cause.blame is Blame.NODE and lease is not None:
            route.owner.request_failed(lease.node, self.context.poller.now)
        self.site.reporter.failed(self.outcome(), failure)
        await self.client.fail(failure)

    def outcome(self) -> Outcome:
        """Return the outcome of the request, for the log."""
        lease = self.lease
        connected = lease is not None and (lease.reused or lease.connect_time)
        return Outcome(
            self.client.connection.id,
            self.fiber.phase.value,
            key=self.request.key,
            node=self.route.node,
            tries=self.route.tries,
            connect=lease.connect_time if lease is not None and connected else None,
            started=self.started,
            client=self.request.client,
            peer=self.client.connection.peer[0],
        )
