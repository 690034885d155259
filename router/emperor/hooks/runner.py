"""Hooks of the Emperor, each sequence in a process of its own: neither mounts nor commands hold the Emperor up."""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Final

from uwsgi_router.router.config.emperor import EmperorConfig
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.hook_values import Hook
from uwsgi_router.router.emperor.helper import become_helper
from uwsgi_router.router.emperor.hooks.actions import HookError, HookExit, run_hooks, run_program
from uwsgi_router.router.emperor.vassal_file import VassalFile
from uwsgi_router.router.supervision.loop import SelectorLoop
from uwsgi_router.router.supervision.process import (
    cause_of,
    fork_watched,
    reap,
)
from uwsgi_router.router.supervision.sessions import end_sessions

log = logging.getLogger("uwsgi-router.emperor")

_LONGEST_LINE: Final = 4096
_MOST_OUTPUT: Final = 65_536


def run_emperor_start(
    config: EmperorConfig, environ: MutableMapping[str, str] = os.environ
) -> None:
    """Do what is to be done before the first vassal is started (``hook-emperor-start``), in this process.

    Args:
        config: the Emperor's.
        environ: of commands that are run, and of vassals; ``putenv`` changes it.

    Raises:
        StartError: it has failed, or says that the Emperor ends.
    """
    variables = dict(environ)
    try:
        run_hooks(config.hook_emperor_start, "emperor-start", variables, fatal=True, say=log.info)
    except HookError as exc:
        raise StartError(str(exc)) from None
    except HookExit as exc:
        raise StartError(f"hook-emperor-start says exit:{exc.status}") from None
    environ.update(variables)


class HookRunner:
    """Hook runner of an Emperor.

    Args:
        loop: waits.
        config: the Emperor's.
        environ: of commands that are run.
        note: called with the process id of each process, the leader of a session, and whether it begins or has ended.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        config: EmperorConfig,
        environ: Mapping[str, str] = os.environ,
        note: Callable[[int, bool], object] = lambda _pid, _begun: None,
    ) -> None:
        self._loop, self._config, self._environ = loop, config, environ
        self._note = note
        self._running: dict[str, _HookProcess] = {}
        #: Called when the last process has ended.
        self.on_idle: Callable[[], object] = lambda: None

    @property
    def busy(self) -> bool:
        """True while a hook is running."""
        return bool(self._running)

    def spawned(self, file: VassalFile, pid: int) -> None:
        """Run the hooks that follow the start of a vassal (``…-as-emperor``).

        Args:
            file: its configuration.
            pid: of its process.
        """
        config = self._config
        hooks = (
            *config.hook_as_emperor,
            *config.mount_as_emperor,
            *config.umount_as_emperor,
            *config.exec_as_emperor,
        )
        if not hooks:
            return
        more = {
            "UWSGI_VASSAL_CONFIG": file.name,
            "UWSGI_VASSAL_PID": str(pid),
            "UWSGI_VASSAL_UID": str(file.uid),
            "UWSGI_VASSAL_GID": str(file.gid),
        }

        def body(environ: dict[str, str]) -> int:
            return _run(hooks, environ)

        self._start(f"hooks as Emperor of {file.name}", file, more, body)

    def stopped(self, file: VassalFile) -> None:
        """Run the hook that follows the end of a vassal (``vassals-stop-hook``).

        Args:
            file: its configuration.
        """
        program = self._config.stop_hook
        if program is None:
            return

        def body(environ: dict[str, str]) -> int:
            return run_program([program, file.name], environ)

        self._start(f"stop-hook {program} {file.name}", file, {}, body)

    def close(self) -> None:
        """End what is running at once."""
        for process in list(self._running.values()):
            process.kill()
        self._running.clear()

    def _start(
        self,
        what: str,
        file: VassalFile,
        more: Mapping[str, str],
        body: Callable[[dict[str, str]], int],
    ) -> None:
        if what in self._running:
            # A vassal that is started again and again must not gather processes that hang.
            log.error("%s: not run, they are still at it from the last time", what)
            return
        environ = {**self._environ, **more, "UWSGI_VASSALS_DIR": file.directory}

        def ended(code: int) -> None:
            self._note(self._running.pop(what).pid, False)
            level = logging.INFO if not code else logging.ERROR
            log.log(level, "%s: ended (%s)", what, cause_of(code))
            if not self._running:
                self.on_idle()

        try:
            process = _HookProcess(
                self._loop, what, lambda: _in_child(file.directory, environ, body), ended
            )
        except OSError as exc:
            log.error("%s: no process can be made: %s", what, exc.strerror)  # noqa: TRY400 - one line
            return
        self._running[what] = process
        self._note(process.pid, True)


def _run(hooks: Iterable[Hook], environ: dict[str, str]) -> int:
    """Run hooks that may fail; return the exit status."""
    try:
        run_hooks(hooks, "as-emperor", environ, fatal=False, say=_say)
    except HookExit as exc:
        return exc.status
    return 0


def _in_child(
    directory: str, environ: dict[str, str], body: Callable[[dict[str, str]], int]
) -> None:
    become_helper(())
    os.chdir(directory)
    code = body(environ)
    os._exit(code if code >= 0 else 128 - code)


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode(errors="surrogateescape"))


class _HookProcess:
    """Process that runs hooks; what it prints is logged, line by line.

    Args:
        loop: waits.
        what: it does, for the log.
        body: called in it.
        ended: called with its exit status.

    Raises:
        OSError: no process can be made.
    """

    def __init__(
        self,
        loop: SelectorLoop,
        what: str,
        body: Callable[[], object],
        ended: Callable[[int], object],
    ) -> None:
        self._loop, self._what, self._ended = loop, what, ended
        self._output, writer = os.pipe()
        try:
            self.pid, self._pidfd = fork_watched(lambda: _with_output(writer, body))
        except OSError:
            os.close(self._output)
            raise
        finally:
            os.close(writer)
        os.set_blocking(self._output, False)
        self._rest = b""
        loop.add_reader(self._pidfd, self._look)
        loop.add_reader(self._output, self._read)

    def kill(self) -> None:
        """End it at once with all that it has started, and wait for that."""
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            end_sessions({self.pid}, spared={self.pid})
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        self._close()

    def _look(self) -> None:
        code = reap(self.pid)
        if code is None:
            return
        self._read()
        self._close()
        self._ended(code)

    def _read(self) -> None:
        try:
            data = os.read(self._output, _MOST_OUTPUT)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._output)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data or len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in filter(None, lines):
            log.info("%s: %s", self._what, line.decode(errors="backslashreplace"))

    def _close(self) -> None:
        for descriptor in (self._pidfd, self._output):
            self._loop.remove_reader(descriptor)
            os.close(descriptor)


def _with_output(writer: int, body: Callable[[], object]) -> None:
    os.dup2(writer, 1)
    os.dup2(writer, 2)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    body()
