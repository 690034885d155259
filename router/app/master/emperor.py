"""Being a vassal: what the Emperor is told, and what it says, a byte each (uWSGI: core/emperor.c)."""

import logging
import os
from collections.abc import Callable, MutableMapping
from typing import Protocol

from uwsgi_router.protocol.emperor import VARIABLE, EmperorByte, VassalByte

log = logging.getLogger("uwsgi-router.emperor")


def emperor_descriptor(environ: MutableMapping[str, str]) -> int:
    """Take the descriptor of the Emperor's pipe out of the environment; -1: there is no Emperor."""
    text = environ.pop(VARIABLE, "")
    if not (text.isascii() and text.isdigit()):
        return -1
    try:
        os.set_inheritable(int(text), False)
    except OSError:
        log.warning("%s=%s is not open: nothing is told to an Emperor", VARIABLE, text)
        return -1
    return int(text)


class Readers(Protocol):
    """Loop that waits for descriptors."""

    def add_reader(self, descriptor: int, callback: Callable[[], object]) -> None:
        """Have a function called when a descriptor can be read."""

    def remove_reader(self, descriptor: int) -> None:
        """End that."""


class Emperor:
    """Emperor of this master.

    Args:
        loop: waits.
        descriptor: of its pipe; -1: there is none.
        stop: stops at once.
        finish: stops once running requests are done.
        reload: reloads.
    """

    def __init__(
        self,
        loop: Readers,
        descriptor: int,
        *,
        stop: Callable[[], object],
        finish: Callable[[], object],
        reload: Callable[[str], object],
    ) -> None:
        self._loop = loop
        self._stop, self._finish, self._reload = stop, finish, reload
        self._loyal = False
        self.descriptor = descriptor
        if descriptor >= 0:
            os.set_blocking(descriptor, False)
            loop.add_reader(descriptor, self._hear)

    # --- what it is told ---

    def spawned(self) -> None:
        """Tell that we have been started."""
        self._tell(VassalByte.SPAWNED)

    def accepting(self) -> None:
        """Tell that new processes serve."""
        self._loyal = False
        self._tell(VassalByte.ACCEPTING)

    def answered(self) -> None:
        """Tell, once for each start or reload, that a request was answered: whoever did is no failed vassal."""
        if not self._loyal:
            self._loyal = True
            self._tell(VassalByte.LOYAL)

    def rest(self) -> None:
        """Ask to be stopped: nobody has asked us for anything for a while."""
        self._tell(VassalByte.STOP)

    def beat(self) -> None:
        """Tell that the processes turn."""
        self._tell(VassalByte.HEARTBEAT)

    def _tell(self, byte: VassalByte) -> None:
        if self.descriptor < 0:
            return
        try:
            os.write(self.descriptor, bytes((byte,)))
        except OSError:
            # Its end is read.
            pass

    # --- what it says ---

    def _hear(self) -> None:
        try:
            data = os.read(self.descriptor, 1)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            log.error("the Emperor is gone: stopping")
            self._stop()
        elif data[0] == EmperorByte.STOP:
            log.info("the Emperor says stop")
            self._stop()
        elif data[0] == EmperorByte.STOP_GRACEFULLY:
            log.info("the Emperor says stop, gracefully")
            self._finish()
        elif data[0] == EmperorByte.RELOAD:
            self._reload("the Emperor")
        else:
            log.warning("the Emperor says %d, which means nothing here", data[0])

    def close(self) -> None:
        """Let go of it."""
        if self.descriptor >= 0:
            self._loop.remove_reader(self.descriptor)
            os.close(self.descriptor)
            self.descriptor = -1
