"""Lock of an Emperor: one rollout at a time, however it was started; and what the one before left out of service."""

import fcntl
import json
import os
from collections.abc import Collection, Sequence
from typing import Self


class LockTaken(Exception):
    """Error: another rollout runs, or there can't be a lock; ``str()`` says which."""


class EmperorLock:
    """Lock on an Emperor's directory, a context manager; the kernel frees it with the process.

    Args:
        directory: that the Emperor watches.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._descriptor = -1

    def __enter__(self) -> Self:
        """Take it.

        Raises:
            LockTaken: that is not possible.
        """
        try:
            self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            raise LockTaken(f"another rollout of {self._directory} runs") from None
        except OSError as exc:
            self._close()
            raise LockTaken(f"{self._directory}: {exc.strerror or exc}") from exc
        return self

    def __exit__(self, *_exc: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class KeptOut:
    """Memory of nodes that a failed rollout left out of service, so that the next one brings them back.

    Args:
        directories: of our user, for small files; the first one that can be made is used.
        emperor: the directory that the Emperor watches.
    """

    def __init__(self, directories: Sequence[str], emperor: str) -> None:
        found = os.stat(emperor)
        self._directories = directories
        self._name = f"rollout-{found.st_dev}-{found.st_ino}.json"

    def read(self) -> frozenset[str]:
        """Return their addresses."""
        for directory in self._directories:
            try:
                with open(os.path.join(directory, self._name), encoding="utf-8") as file:
                    if os.fstat(file.fileno()).st_uid != os.geteuid():
                        continue
                    kept = json.load(file)
            except (OSError, ValueError):
                continue
            if isinstance(kept, list):
                return frozenset(one for one in kept if isinstance(one, str))
        return frozenset()

    def write(self, addresses: Collection[str]) -> None:
        """Remember these, and no others; nothing happens where no file can be written."""
        for directory in self._directories:
            path = os.path.join(directory, self._name)
            try:
                if not addresses:
                    os.unlink(path)
                    continue
                os.makedirs(directory, mode=0o700, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
                with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
                    json.dump(sorted(addresses), file)
            except OSError:
                continue
            if addresses:
                return
