"""Lending: while a worker has no process, another one accepts on its sockets, so that nobody waits there."""

from uwsgi_router.router.app.master.children import user_of
from uwsgi_router.router.app.master.generation import ChildProcess, Generation
from uwsgi_router.router.app.master.sockets import MasterSockets
from uwsgi_router.router.supervision.machine import State


class Lending:
    """Lending of the sockets of workers.

    Args:
        sockets: of the master.
    """

    def __init__(self, sockets: MasterSockets) -> None:
        self._sockets = sockets
        self._lent: dict[ChildProcess, ChildProcess] = {}

    def ended(self, generation: Generation, worker: ChildProcess) -> None:
        """Lend the sockets of a worker whose process has ended, and those that it had borrowed."""
        homeless = [one for one, borrower in self._lent.items() if borrower is worker]
        for one in homeless:
            del self._lent[one]
        for one in (worker, *homeless):
            self._lend(generation, one)

    def ready(self, worker: ChildProcess) -> None:
        """Give a worker that serves again its sockets back."""
        borrower = self._lent.pop(worker, None)
        if borrower is not None:
            borrower.tell(do="give-back", slot=worker.number)

    def _lend(self, generation: Generation, worker: ChildProcess) -> None:
        """Lend to the first worker that serves; if none does, they wait."""
        for other in generation.workers:
            if other is not worker and other.program.machine.state is State.READY:
                break
        else:
            return
        self._lent[worker] = other
        for text, bound in self._sockets.lendable(user_of(worker), worker.number):
            other.tell(bound.sock.fileno(), do="lend", slot=worker.number, text=text)
