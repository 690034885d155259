"""Service base class: a router inside a program, started and stopped on its event loop."""

import asyncio
import logging
import warnings
from abc import abstractmethod

from uwsgi_router.protocol.subscription import MAX_WEIGHT
from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.router.admin.control.nodes import NodeStatus
from uwsgi_router.router.admin.control.operator import Operator, unknown_node
from uwsgi_router.router.api.errors import ParameterError
from uwsgi_router.router.api.judgement import OF_THE_PROCESS
from uwsgi_router.router.api.lifecycle import Lifecycle
from uwsgi_router.router.app.commons import Commons
from uwsgi_router.router.app.instance import Instance
from uwsgi_router.router.config.model import Configuration, ProcessConfig

log = logging.getLogger("uwsgi-router")

# Who steers nodes, for the log.
_BY = "the program"


class Service(Lifecycle):
    """Service: can be started, stopped, and started again.

    It runs on whatever event loop it is started in, beside others if need be. It installs no signal handlers,
    configures no logging (its loggers are below ``uwsgi-router``), and changes neither user, directory, mask nor
    environment: these belong to the program.
    """

    def __init__(self) -> None:
        self._instance: Instance | None = None
        self._mercy = 0.0
        self._addresses: tuple[str, ...] = ()
        self._subscription_addresses: tuple[str, ...] = ()
        self._stats_addresses: tuple[str, ...] = ()

    @property
    @abstractmethod
    def configuration(self) -> Configuration:
        """Configuration that runs, typed, as the command has it."""

    @abstractmethod
    def _commons(self, configuration: Configuration) -> Commons | None:
        """Return what it shares with other routers of the program; None: nothing."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Real addresses of the listeners, with the port that ``:0`` became; empty while it does not run."""
        return self._addresses

    @property
    def subscription_addresses(self) -> tuple[str, ...]:
        """Real addresses of the subscription servers."""
        return self._subscription_addresses

    @property
    def stats_addresses(self) -> tuple[str, ...]:
        """Real addresses of the stats servers."""
        return self._stats_addresses

    # --- its nodes ---

    def status(self, key: str | bytes | None = None) -> list[NodeStatus]:
        """Return the nodes, configured and announced ones, as ``uwsgi-router status`` shows them.

        Args:
            key: only its nodes; None: all, configured ones first, then in the order of keys.

        Raises:
            RuntimeError: if it does not run; likewise below.
        """
        return list(self._operator().status(_key(key)))

    async def drain(
        self,
        node: str,
        *,
        key: str | bytes | None = None,
        within: float = 60.0,
        missing_ok: bool = False,
    ) -> bool:
        """Drain a node: let it have no new requests, and wait for those that it has.

        It stays so until :meth:`enable`, however often it announces itself, unless it leaves.

        Args:
            node: its address as in :meth:`status`.
            key: only as a node of this key; None: of all keys.
            within: seconds to wait at most; 0: not at all.
            missing_ok: a node that is not there is no mistake: it has no requests.

        Returns:
            True if no request is left.

        Raises:
            UnknownNode: if there is none.
            DrainCancelled: if it was enabled meanwhile, or left and came back.
        """
        going = self._operator().drain(node, _key(key), by=_BY)
        ended = await going.ended(within)
        if not (ended.nodes or missing_ok):
            raise unknown_node(node, _key(key))
        return not ended.running

    def enable(self, node: str, *, key: str | bytes | None = None) -> None:
        """Let a node have requests again after :meth:`drain`; arguments as there.

        Raises:
            UnknownNode: if there is none.
        """
        self._operator().enable(node, _key(key), by=_BY)

    def weight(self, node: str, weight: int | None, *, key: str | bytes | None = None) -> None:
        """Set a node's share of the requests, whatever it announces; other arguments as for :meth:`drain`.

        Args:
            node: as there.
            weight: 1 to 1,000,000; None: what the node announces counts again.
            key: as there.

        Raises:
            UnknownNode: if there is none.
            NoWeight: if it is a configured node whose place decides, such as a fallback.
            ParameterError: if the weight can't be used.
        """
        if weight is not None and not 1 <= weight <= MAX_WEIGHT:
            call = f"{type(self).__name__}.weight"
            raise ParameterError(call, "weight", weight, f"expected None or 1 to {MAX_WEIGHT}")
        self._operator().weigh(node, weight, _key(key), by=_BY)

    def _operator(self) -> Operator:
        if self._instance is None:
            raise RuntimeError("the router does not run")
        return self._instance.operator()

    # --- its life ---

    async def start(self) -> None:
        """Begin to serve; returns once clients can connect.

        Raises:
            ParameterError: if something is missing, such as an address to listen on.
            StartError: if an address can't be listened on, or a function can't be loaded.
            RuntimeError: if it runs already.
        """
        if self._instance is not None:
            raise RuntimeError("the router runs already")
        configuration = self.configuration
        _warn_of_the_process(configuration)
        for line in configuration.warnings:
            log.warning("%s", line)
        instance = Instance(configuration, commons=self._commons(configuration))
        instance.bind()
        self._instance = instance
        self._mercy = configuration.process.reload_mercy
        (router,) = configuration.routers
        bound = instance.addresses(router)
        self._addresses, self._subscription_addresses, self._stats_addresses = bound
        try:
            await instance.start()
        except BaseException:
            await self.stop(0)
            raise

    async def stop(self, mercy: float | None = None) -> None:
        """Stop listening, let requests finish, end those that don't; does nothing if it does not run.

        Args:
            mercy: seconds that requests have to finish; None: what ``set_extra_params(mercy=...)`` says, or 60.
        """
        instance, self._instance = self._instance, None
        if instance is None:
            return
        self._addresses = self._subscription_addresses = self._stats_addresses = ()
        try:
            await instance.stop(self._mercy if mercy is None else mercy)
        except asyncio.CancelledError:
            # Whoever waits has no time left.
            await instance.stop(0)
            raise


def _key(key: str | bytes | None) -> bytes | None:
    return to_bytes(key) if isinstance(key, str) else key


def _warn_of_the_process(configuration: Configuration) -> None:
    default = ProcessConfig()
    process = configuration.process
    ignored = [name for name in OF_THE_PROCESS if getattr(process, name) != getattr(default, name)]
    for router in configuration.routers:
        ignored += [f"{router.kind}-{name}" for name in ("uid", "gid") if getattr(router, name)]
        if router.processes != 1 or router.harakiri:
            warnings.warn(
                f"{router.kind}-processes, {router.kind}-harakiri: only the command uwsgi-router has workers; inside a"
                " program one process serves everything",
                stacklevel=3,
            )
    if ignored:
        # Whose line it is can't be told: start() may run in a task of its own.
        warnings.warn(
            f"{', '.join(ignored)}: only the command uwsgi-router does this to its process; inside a program nothing "
            "is changed, and the router runs as the program's user",
            stacklevel=3,
        )
