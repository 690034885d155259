"""Last lines of a vassal, from the file that it writes to."""

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from uwsgi_router.protocol.text import printable, to_text
from uwsgi_router.router.core.files import open_file

#: Lines that are shown.
LINES: Final = 20
_BYTES: Final = 65_536
# How uWSGI begins.
_BEGIN: Final = "*** Starting uWSGI"
_FAILURE: Final = re.compile("error|exception|traceback|fatal|no app loaded", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LogTail:
    """End of a log file at one moment; what is written behind it is a vassal's last lines.

    Attributes:
        path: of the file; "": there is none.
        inode: that it had.
        size: bytes that it had.
    """

    path: str = ""
    inode: int = 0
    size: int = 0

    @classmethod
    def of_file(cls, path: str) -> "LogTail":
        """Return the end of a file, of one that may come yet, too."""
        try:
            found = os.stat(path)
        except OSError:
            return cls(path)
        return cls(path, found.st_ino, found.st_size)

    @classmethod
    def of_process(cls, pid: int) -> "LogTail":
        """Return the end of the file that a process writes its errors to; of nothing if it is no file."""
        if pid > 0:
            for number in (2, 1):
                link = f"/proc/{pid}/fd/{number}"
                try:
                    if stat.S_ISREG(os.stat(link).st_mode):
                        return cls.of_file(os.readlink(link))
                except OSError:
                    continue
        return cls()

    def lines(self) -> list[str]:
        """Return the last lines that were written since then; none if they can't be read."""
        if not self.path:
            return []
        try:
            # A tenant's log must not become somebody else's file, or a pipe.
            with open(open_file(self.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                now = os.fstat(file.fileno())
                if not stat.S_ISREG(now.st_mode):
                    return []
                # A file that was rotated or cut off is new from its beginning.
                whole = now.st_ino != self.inode or now.st_size < self.size
                begin = max(0 if whole else self.size, now.st_size - _BYTES)
                file.seek(begin)
                data = file.read(_BYTES)
        except OSError:
            return []
        lines = [line for line in to_text(data).splitlines() if line.strip()]
        return [printable(line) for line in _of_failure(lines)[-LINES:]]


def _of_failure(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines of the last start that failed: meanwhile the Emperor may have begun another one."""
    begins = [number for number, line in enumerate(lines) if _BEGIN in line]
    for begin, end in reversed(list(pairwise((0, *begins, len(lines))))):
        if any(_FAILURE.search(line) for line in lines[begin:end]):
            return lines[begin:end]
    return lines
