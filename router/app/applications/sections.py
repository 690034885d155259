"""Rollouts of ``[app NAME]`` sections: files are read again; sections that changed, are new or are gone take effect."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from uwsgi_router.router.app.applications import arguments
from uwsgi_router.router.app.applications.plans import plan_of
from uwsgi_router.router.app.applications.served import ServedApplications
from uwsgi_router.router.config.app import AppConfig
from uwsgi_router.router.config.option import differing
from uwsgi_router.subscriptions.application.machine import ApplicationMachine
from uwsgi_router.subscriptions.application.plan import AppPlan
from uwsgi_router.subscriptions.application.running_copy import ShellParts
from uwsgi_router.subscriptions.application.shell import ApplicationShell
from uwsgi_router.subscriptions.application.supervisor import (
    ROUTER_READS,
    RolloutRefused,
    Supervision,
)

log = logging.getLogger("uwsgi-router.serve")


@dataclass(slots=True)
class _Reload:
    """Reload that runs.

    Attributes:
        awaited: configuration of each rollout that has not ended, by application and generation.
        gone: applications that the files have no more.
        failed: names of those that could not be rolled out.
    """

    awaited: dict[tuple[str, int], AppConfig] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)


class SectionRollout:
    """Beginning of rollouts from files.

    New applications start, and all others are replaced by copies as the files have them now. Those that are gone stop
    once the others serve; they stay if one of these could not be rolled out. An application that could not goes on as
    it was.

    Args:
        read: reads the files again; raises :class:`RolloutRefused`.
        served: what they said before.
        supervision: of the applications.
        parts: of their shells.
        directory: the private one, with the router's file.
        accept: called with what the files say now before anything begins; may raise :class:`RolloutRefused`.
    """

    def __init__(
        self,
        read: Callable[[], ServedApplications],
        served: ServedApplications,
        supervision: Supervision,
        parts: ShellParts,
        directory: str,
        accept: Callable[[ServedApplications], None],
    ) -> None:
        self._read = read
        self._served = served
        self._configs = {config.name: config for config in served.applications}
        self._supervision = supervision
        self._parts = parts
        self._directory = directory
        self._accept = accept
        self._reload = _Reload()
        # Applications that are gone: they stop once the router has reloaded, or at this time.
        self._leaving: list[str] = []
        self._leave_by = 0.0
        supervision.listen(self._ended)
        supervision.look(self._look)

    def begin(self, app: str, *, surge: bool | None, hangup: bool) -> Mapping[str, int]:
        """Begin a rollout; as :meth:`RolloutStarter.begin`."""
        self._leave()
        read = self._read()
        wanted = {config.name: config for config in read.applications}
        if app and app not in wanted:
            known = "is in no file any more: a rollout of all applications stops it"
            raise RolloutRefused(
                f"{app} {known}" if app in self._configs else f"there is no application {app}"
            )
        self._accept(read)
        self._served = read
        reload = self._reload
        if not reload.awaited:
            reload.failed.clear()
        reload.gone = reload.gone & set(self._configs) if app else set(self._configs) - set(wanted)
        reload.gone -= {app}
        chosen = {app: wanted[app]} if app else wanted
        # Old and new keys are expected until it is known which ones stay.
        self._tell_router([*self._configs.values(), *chosen.values()], hangup=hangup)
        return {name: self._roll(config, surge) for name, config in chosen.items()}

    def _roll(self, config: AppConfig, surge: bool | None) -> int:
        name, plan = config.name, plan_of(config, self._parts.environ, alone=False)
        shell = self._supervision.applications.get(name)
        if shell is None:
            log.info("%s is new", name)
            shell = self._new_shell(plan)
            self._configs[name] = config
        elif words := differing(config, self._configs[name]):
            log.info("%s has changed: %s", name, ", ".join(words))
        generation = shell.rollout(surge=surge, plan=plan)
        self._reload.awaited[name, generation] = config
        return generation

    def _new_shell(self, plan: AppPlan) -> ApplicationShell:
        count = self._supervision.count_of(plan.name)
        shell = ApplicationShell(plan, self._parts, ApplicationMachine(plan.policy, count=count))
        self._supervision.add(shell)
        return shell

    def _ended(self, name: str, generation: int, reason: str | None, _lines: Sequence[str]) -> None:
        config = self._reload.awaited.pop((name, generation), None)
        if config is None or self._supervision.stopping:
            return
        if reason is None:
            self._configs[name] = config
            self._reload.failed.discard(name)
        else:
            self._reload.failed.add(name)
        if not self._reload.awaited:
            self._conclude()

    def _conclude(self) -> None:
        gone, failed = sorted(self._reload.gone), sorted(self._reload.failed)
        if gone and failed:
            text = "%s stays, although it is in no file any more, as %s could not be rolled out"
            log.warning(text, ", ".join(gone), ", ".join(failed))
        else:
            for name in gone:
                log.info("%s is in no file any more: it stops", name)
                del self._configs[name]
            self._leaving += gone
            self._reload.gone.clear()
        self._tell_router(list(self._configs.values()), hangup=False)
        self._leave_by = self._parts.clock() + ROUTER_READS
        self.router_is_ready()

    def router_is_ready(self) -> None:
        """Stop applications if the router expects them no longer: their requests would have waited for them."""
        router = self._supervision.router
        if router is None or router.has_reloaded:
            self._leave()

    def _look(self) -> None:
        if self._parts.clock() >= self._leave_by:
            self._leave()

    def _leave(self) -> None:
        leaving, self._leaving = self._leaving, []
        for name in leaving:
            self._supervision.remove(name)

    def _tell_router(self, configs: Sequence[AppConfig], *, hangup: bool) -> None:
        """Have the router read its files again if they have changed, or with ``hangup`` in any case."""
        router = self._supervision.router
        if router is None:
            return
        served = self._served
        fresh = arguments.write_file(
            self._directory, configs, served.kinds, listen=served.listen, stop_timeout=None
        )
        if fresh or hangup:
            router.reload()
