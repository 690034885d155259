"""Process of a copy: start in a session of its own, output over pipes, signals."""

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from uwsgi_router.subscriptions.client.starting import end_with_us, starting

_PIPE: Final = subprocess.PIPE


@dataclass(frozen=True, slots=True)
class CopyLaunch:
    """Values for the start of a process.

    Attributes:
        arguments: the program and what it is given.
        environ: its environment, whole.
        cwd: its working directory; None: ours.
        user: that it runs as, a name or number; None: ours.
        group: likewise; None: the user's.
        inherits: it has our standard streams and what else our parent left open, and what it leaves in its session
            at its end goes on.
    """

    arguments: Sequence[str]
    environ: Mapping[str, str]
    cwd: str | None = None
    user: str | None = None
    group: str | None = None
    inherits: bool = False


class CopyProcess:
    """Running process of a copy, the leader of a session of its own.

    Ctrl-C in a terminal does not reach it; if we are killed, it gets TERM from the kernel. Descriptors of ours are
    closed in it, unless it inherits them.

    Args:
        launch: how it is started.

    Attributes:
        pid: of the leader; of the session and of its first process group, too.
        output: descriptors of what it writes on standard output and standard error, non-blocking; none if it inherits
            ours.

    Raises:
        CannotStart: it doesn't run.
    """

    def __init__(self, launch: CopyLaunch) -> None:
        with starting(launch.arguments[0], launch.cwd):
            more: dict[str, Any] = _user(launch.user)
            if launch.group is not None:
                more["group"] = _number(launch.group)
            if launch.inherits:
                more["close_fds"] = False
            else:
                more |= {"stdin": subprocess.DEVNULL, "stdout": _PIPE, "stderr": _PIPE}
            popen = subprocess.Popen(  # noqa: S603
                launch.arguments,
                env=launch.environ,
                cwd=launch.cwd,
                start_new_session=True,
                preexec_fn=end_with_us,  # noqa: PLW1509 - one system call, looked up beforehand
                **more,
            )
        self.pid = popen.pid
        pipes = [pipe for pipe in (popen.stdout, popen.stderr) if pipe is not None]
        self.output = tuple(os.dup(pipe.fileno()) for pipe in pipes)
        for descriptor, pipe in zip(self.output, pipes, strict=True):
            os.set_inheritable(descriptor, False)
            os.set_blocking(descriptor, False)
            pipe.close()
        # Others reap it.
        popen.returncode = 0
        self._inherits = launch.inherits
        self._ended = False

    def signal(self, number: int) -> str | None:
        """Send it a signal, if it still runs; return why that failed."""
        if self._ended:
            return None
        try:
            os.kill(self.pid, number)
        except OSError as exc:
            return exc.strerror
        return None

    def signal_session(self, number: int) -> None:
        """Send a signal to all that its leader has started; to the leader if that is nothing."""
        if not self._ended:
            for pid in session(self.pid) - {self.pid} or {self.pid}:
                _send(pid, number)

    def kill(self) -> None:
        """End it, and all that is in its session, at once."""
        if not self._ended:
            for pid in {self.pid, *session(self.pid)}:
                _send(pid, signal.SIGKILL)

    def end(self) -> None:
        """End what is left of its session; to be called before it is reaped, while its number is still its own."""
        if not self._inherits:
            for pid in session(self.pid) - {self.pid}:
                _send(pid, signal.SIGKILL)
        self._ended = True


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass


def session(leader: int) -> set[int]:
    """Return the processes of a session, its leader included, from ``/proc``."""
    return {pid for pid, _, session in _processes() if session == leader}


def descendants(pid: int) -> set[int]:
    """Return a process and all that it and its children have started, from ``/proc``."""
    children: dict[int, list[int]] = {}
    for one, parent, _ in _processes():
        children.setdefault(parent, []).append(one)
    found = {pid}
    left = [pid]
    while left:
        new = set(children.get(left.pop(), ())) - found
        found |= new
        left += new
    return found


def _processes() -> Iterator[tuple[int, int, int]]:
    """Yield each process with its parent and its session."""
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # Behind the name in parentheses: state, parent, process group, session.
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        yield int(name), int(fields[1]), int(fields[3])


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _user(text: str | None) -> dict[str, Any]:
    """Return the arguments that make a process somebody else's, with his groups."""
    if text is None:
        return {}
    entry = pwd.getpwuid(int(text)) if text.isdecimal() else pwd.getpwnam(text)
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
