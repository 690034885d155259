"""State machine of an application: decides over events and ``now`` what is started, announced, drained and stopped.

Every method takes an event and returns actions. New copies come first: one that serves is withdrawn only while more
than ``replicas`` serve, unless the application stops. A rollout is a new generation; copies of older ones are replaced
one by one (or, with ``surge``, once all new ones serve), and a new copy that does not get to serve ends it. A rollout
may bring another policy, which is given up with it while older copies serve. A copy to be recycled is replaced in the
same way, one at a time.
"""

import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from uwsgi_router.subscriptions.application.actions import (
    Action,
    AnnounceCopy,
    AppEnded,
    CheckCopy,
    RolloutEnded,
    Say,
    ShowStacks,
    StartCopy,
    StopCopy,
    WithdrawCopy,
)
from uwsgi_router.subscriptions.application.backoff import RestartDelay
from uwsgi_router.subscriptions.application.copies import AppCopy, CopyState
from uwsgi_router.subscriptions.application.plan import CopyPolicy

_GROWTH = 1.5
# Seconds beyond a drain's time after which nobody is waited for who should have said that it is over.
_DRAIN_GRACE = 2.0
# Seconds that requests have in a copy all of whose requests are stuck.
_STUCK_DRAIN = 0.5


@dataclass(slots=True)
class _Rollout:
    """Rollout that runs.

    Attributes:
        generation: of its copies.
        surge: they are all started at once.
        policy: that it brings; None: it stays as it is.
        before: the policy from before it.
    """

    generation: int
    surge: bool
    policy: CopyPolicy | None = None
    before: CopyPolicy | None = None


class ApplicationMachine:
    """State machine of one application.

    Args:
        policy: see :class:`CopyPolicy`.
        delay: before restarts.
        chance: returns numbers from 0 to 1, for the jitter.
        count: numbers of copies that were given before.

    Attributes:
        policy: see above.
        count: copies that were started.
        copies: all that run, by number, in the order of their starts.
        generation: of the copies that are started now.
        stopping: it has been told to stop.
    """

    def __init__(
        self,
        policy: CopyPolicy,
        delay: RestartDelay | None = None,
        chance: Callable[[], float] = random.random,
        count: int = 0,
    ) -> None:
        self.policy = policy
        self.copies: dict[int, AppCopy] = {}
        self.generation = 1
        self.stopping = False
        self._delay = delay or RestartDelay()
        self._chance = chance
        self.count = self._first = count
        self._rollout: _Rollout | None = None
        self._again: _Rollout | None = None
        self._failed_generation = 0
        self._has_served = False
        self._failed_starts = 0
        self._code = 0
        self._over = False

    # --- what it tells ---

    @property
    def rolls(self) -> bool:
        """True while a rollout runs."""
        return self._rollout is not None

    @property
    def serving(self) -> int:
        """Number of copies that serve."""
        return sum(copy.serves for copy in self.copies.values())

    @property
    def has_served(self) -> bool:
        """True once a copy has served."""
        return self._has_served

    def due(self) -> float | None:
        """Return when :meth:`tick` has something to do without an event; None: never."""
        times = [t for copy in self._live() for t in (copy.check_at, copy.expires)]
        times += [copy.deadline for copy in self.copies.values()]
        if not self.stopping and self._wanted():
            times.append(self._delay.not_before)
        return min((t for t in times if t is not None), default=None)

    # --- events ---

    def tick(self, now: float) -> list[Action]:
        """Do what is due."""
        done: list[Action] = []
        for copy in tuple(self.copies.values()):
            if copy.deadline is not None and copy.deadline <= now:
                done += self._too_late(copy, now)
            if copy.is_live and copy.check_at is not None and copy.check_at <= now:
                copy.check_at = None
                done.append(CheckCopy(copy.number, warm=copy.state is CopyState.STARTING))
            if copy.serves and copy.expires is not None and copy.expires <= now:
                copy.expires = None
                done += self._make_stale(copy, f"it is {now - copy.born:.0f} s old")
        return done + self._reconcile(now)

    def checked(self, number: int, trouble: str | None, now: float) -> list[Action]:
        """Note what a health check of a copy found; None: it is healthy (and warm)."""
        copy = self.copies.get(number)
        if copy is None or not copy.is_live:
            return []
        copy.trouble = trouble or ""
        if copy.state is CopyState.STARTING:
            if trouble is None:
                copy.state, copy.deadline = CopyState.ANNOUNCED, None
                return [AnnounceCopy(number)]
            copy.pause = min(copy.pause * _GROWTH, self.policy.check_most)
            copy.check_at = now + copy.pause
            return []
        if self.policy.check_every:
            copy.check_at = now + self.policy.check_every
        if trouble is None:
            copy.fails = 0
            return []
        copy.fails += 1
        if copy.fails < self.policy.check_fails or copy.stale:
            return []
        return self._make_stale(copy, f"it is not healthy: {trouble}") + self._reconcile(now)

    def announced(self, number: int, now: float) -> list[Action]:
        """Note that the router has a copy in its table."""
        copy = self.copies.get(number)
        if copy is None or copy.state is not CopyState.ANNOUNCED:
            return []
        copy.state, copy.served_from = CopyState.SERVING, now
        self._has_served = True
        policy = self.policy
        if policy.check_every:
            copy.check_at = now + policy.check_every
        if policy.max_age:
            copy.expires = now + policy.max_age * self._jitter()
        copy.most_requests = int(policy.max_requests * self._jitter())
        copy.most_bytes = int(policy.max_rss * self._jitter())
        said = Say(f"serves after {now - copy.born:.1f} s", number)
        return [said, *self._reconcile(now)]

    def measured(self, number: int, now: float, *, requests: int = 0, rss: int = 0) -> list[Action]:
        """Note how many requests a copy has had, or how many bytes of memory it uses; 0: not asked."""
        copy = self.copies.get(number)
        if copy is None or not copy.serves or copy.stale:
            return []
        why = ""
        if copy.most_requests and requests >= copy.most_requests:
            why = f"it has had {requests} requests"
        elif copy.most_bytes and rss >= copy.most_bytes:
            why = f"it uses {rss // 2**20} MiB of memory"
        return self._make_stale(copy, why) + self._reconcile(now) if why else []

    def stuck(self, number: int, seconds: float, now: float) -> list[Action]:
        """Note that every request in a copy waits for an answer for so long."""
        copy = self.copies.get(number)
        if copy is None or not copy.serves or copy.stale:
            return []
        done = self._make_stale(copy, f"every request in it is stuck, for {seconds:.0f} s")
        return [*done, ShowStacks(number), *self._reconcile(now)]

    def drained(self, number: int, now: float) -> list[Action]:
        """Note that the requests of a copy that was withdrawn have ended, or that their time is over."""
        copy = self.copies.get(number)
        if copy is None or copy.state is not CopyState.DRAINING:
            return []
        return self._terminate(copy, now) + self._reconcile(now)

    def died(self, number: int, how: str, code: int, now: float) -> list[Action]:
        """Note that a copy has ended, or could not be started.

        Args:
            number: of the copy.
            how: in words.
            code: its exit code, 128 + N if signal N ended it.
            now: the time.
        """
        copy = self.copies.pop(number, None)
        if copy is None:
            return []
        expected = not copy.is_live
        done: list[Action] = [Say(how, number, logging.INFO if expected else logging.WARNING)]
        if not (self.stopping and self.policy.restart):
            # How copies take a stop that was asked for is not what the application ends with.
            self._code = code
        if not expected and not self.stopping:
            done += self._ended_by_itself(copy, how, code, now)
        return done + self._reconcile(now)

    def rollout(
        self, now: float, *, surge: bool | None = None, policy: CopyPolicy | None = None
    ) -> tuple[int, list[Action]]:
        """Begin a rollout, or have one follow that which runs; return its generation, and actions.

        Args:
            now: the time.
            surge: all new copies at once; None: as the policy has it.
            policy: from now on; None: as before.
        """
        wanted = (policy or self.policy).surge if surge is None else surge
        if self._rollout is None:
            self._begin(_Rollout(self.generation + 1, wanted, policy))
            return self.generation, [Say("rollout begins"), *self._reconcile(now)]
        if self._again is None:
            self._again = _Rollout(self.generation + 1, wanted)
        self._again.surge = wanted
        self._again.policy = policy or self._again.policy
        return self._again.generation, []

    def stop(self, now: float, *, drain: bool, code: int = 0) -> list[Action]:
        """Stop all copies; with ``drain`` their requests may end before; ``code`` is the application's exit code."""
        done: list[Action] = []
        if not self.stopping:
            self.stopping = True
            self._code = code
            done += [
                RolloutEnded(rollout.generation, "the application stops")
                for rollout in (self._rollout, self._again)
                if rollout is not None
            ]
            self._rollout = self._again = None
        for copy in tuple(self.copies.values()):
            if copy.serves and drain:
                done += self._withdraw(copy, now)
            elif copy.is_live or (copy.state is CopyState.DRAINING and not drain):
                done += self._terminate(copy, now)
        return done + self._reconcile(now)

    def kill(self, now: float) -> list[Action]:
        """Stop all copies at once, without mercy."""
        self.stopping = True
        done: list[Action] = []
        for copy in self.copies.values():
            copy.state, copy.killed, copy.deadline = CopyState.STOPPING, True, None
            done.append(StopCopy(copy.number, kill=True))
        return done + self._reconcile(now)

    # --- steps ---

    def _live(self) -> Iterator[AppCopy]:
        return (copy for copy in self.copies.values() if copy.is_live)

    def _jitter(self) -> float:
        return 1.0 + self.policy.jitter * self._chance()

    def _begin(self, rollout: _Rollout) -> None:
        self._rollout = rollout
        self.generation = rollout.generation
        rollout.before = self.policy
        self.policy = rollout.policy or self.policy
        self._delay.forget()

    def _make_stale(self, copy: AppCopy, why: str) -> list[Action]:
        copy.stale = why
        return [Say(f"is replaced: {why}", copy.number)]

    def _is_outdated(self, copy: AppCopy) -> bool:
        rollout = self._rollout
        return bool(copy.stale) or (rollout is not None and copy.generation < rollout.generation)

    def _wanted(self) -> int:
        """Return how many copies are to be started now, back-off aside."""
        policy = self.policy
        if not policy.restart and self.count > self._first:
            return 0
        live = list(self._live())
        missing = policy.replicas - len(live)
        if missing > 0 or not any(map(self._is_outdated, live)):
            return max(0, missing)
        surge = self._rollout is not None and self._rollout.surge
        most = policy.replicas + (policy.replicas if surge else 1)
        # Copies that leave need their memory, too.
        return max(0, most - len(self.copies))

    def _reconcile(self, now: float) -> list[Action]:
        """Bring what runs nearer to what is wanted."""
        if self.stopping:
            if self.copies or self._over:
                return []
            self._over = True
            return [AppEnded(self._code)]
        done = self._retire(now)
        if self._delay.not_before <= now:
            done += [self._start(now) for _ in range(self._wanted())]
        return done + self._conclude(now)

    def _start(self, now: float) -> Action:
        self.count += 1
        pause = self.policy.check_first
        self.copies[self.count] = AppCopy(
            self.count,
            self.generation,
            now,
            deadline=now + self.policy.start_timeout,
            check_at=now + pause,
            pause=pause,
        )
        return StartCopy(self.count)

    def _retire(self, now: float) -> list[Action]:
        """Withdraw copies that others have replaced."""
        done: list[Action] = []
        live = list(self._live())
        for copy in live:
            # Nobody misses what does not serve yet.
            if not copy.serves and self._is_outdated(copy):
                done += self._withdraw(copy, now)
        serving = [copy for copy in live if copy.serves]
        spare = len(serving) - self.policy.replicas
        rollout = self._rollout
        if rollout is not None and rollout.surge:
            fresh = sum(copy.generation >= rollout.generation for copy in serving)
            if fresh < self.policy.replicas:
                # As many old ones as are wanted stay; what an earlier rollout has left beside them is in the way.
                spare = min(spare, len(serving) - fresh - self.policy.replicas)
        if spare <= 0:
            return done
        outdated = [copy for copy in serving if self._is_outdated(copy)]
        others = [copy for copy in serving if not self._is_outdated(copy)]
        # What is left of a failed rollout goes before what worked.
        others.sort(key=lambda copy: copy.generation != self._failed_generation)
        surplus = [] if self._rollout is not None else others
        for copy in (*outdated, *surplus)[:spare]:
            done += self._withdraw(copy, now)
        return done

    def _withdraw(self, copy: AppCopy, now: float) -> list[Action]:
        if copy.state is CopyState.STARTING:
            return self._terminate(copy, now)
        policy = self.policy
        requests, streams = policy.drain, policy.drain_streams
        if copy.stale.startswith("every request"):
            requests = streams = _STUCK_DRAIN
        copy.state = CopyState.DRAINING
        copy.deadline = now + max(requests, streams) + _DRAIN_GRACE
        return [WithdrawCopy(copy.number, requests, streams)]

    def _terminate(self, copy: AppCopy, now: float) -> list[Action]:
        copy.state, copy.deadline = CopyState.STOPPING, now + self.policy.mercy
        return [StopCopy(copy.number)]

    def _too_late(self, copy: AppCopy, now: float) -> list[Action]:
        if copy.state is CopyState.DRAINING:
            return self._terminate(copy, now)
        if copy.state is CopyState.STOPPING:
            copy.killed, copy.deadline = True, None
            text = f"does not end within {self.policy.mercy:g} s after TERM: killed"
            return [Say(text, copy.number, logging.WARNING), StopCopy(copy.number, kill=True)]
        limit = self.policy.start_timeout
        why = f"is not healthy after {limit:g} s: {copy.trouble or 'it has not answered'}"
        done: list[Action] = [Say(why, copy.number, logging.ERROR)]
        done += self._start_failed(copy, why, 1, now)
        if copy.is_live:
            done += self._terminate(copy, now)
        return done

    def _ended_by_itself(self, copy: AppCopy, how: str, code: int, now: float) -> list[Action]:
        if not self.policy.restart:
            self.stopping = True
            return []
        if copy.served_from is None:
            return self._start_failed(copy, how, code, now)
        delay = self._delay.ended(now, copy.served(now))
        return [Say(f"another copy starts in {delay:.1f} s")] if delay else []

    def _start_failed(self, copy: AppCopy, how: str, code: int, now: float) -> list[Action]:
        """Note that a copy did not get to serve: that ends a rollout, and others start later."""
        delay = self._delay.failed(now)
        rollout = self._rollout
        if rollout is not None and copy.generation == rollout.generation:
            return self._fail_rollout(rollout, copy, how, now)
        self._failed_starts += 1
        attempts = self.policy.attempts
        if attempts and not self._has_served and self._failed_starts >= attempts:
            text = f"no copy could be started in {attempts} attempts: giving up"
            stop = self.stop(now, drain=False, code=code or 1)
            return [Say(text, level=logging.ERROR), *stop]
        return [Say(f"another copy starts in {delay:.1f} s")]

    def _fail_rollout(
        self, rollout: _Rollout, failed: AppCopy, how: str, now: float
    ) -> list[Action]:
        self._rollout = None
        self._failed_generation = rollout.generation
        goes_back = any(
            copy.serves and copy.generation < rollout.generation for copy in self.copies.values()
        )
        done: list[Action] = [
            RolloutEnded(rollout.generation, how, failed.number, goes_back=goes_back)
        ]
        if goes_back and rollout.before is not None:
            self.policy = rollout.before
        if any(copy.serves for copy in self.copies.values()):
            # The old ones go on. Without any the new ones may be the only ones to come.
            for copy in tuple(self._live()):
                if copy.generation == rollout.generation and not copy.serves:
                    done += self._withdraw(copy, now)
        return done + self._next_rollout(now)

    def _conclude(self, now: float) -> list[Action]:
        """Find out whether a rollout is done."""
        rollout = self._rollout
        if rollout is None or self.serving < self.policy.replicas:
            return []
        if any(copy.generation < rollout.generation for copy in self.copies.values()):
            return []
        self._rollout = None
        ended = RolloutEnded(rollout.generation)
        return [Say("rollout is done"), ended, *self._next_rollout(now)]

    def _next_rollout(self, now: float) -> list[Action]:
        following, self._again = self._again, None
        if following is None:
            return []
        self._begin(following)
        return [Say("the next rollout begins"), *self._reconcile(now)]
