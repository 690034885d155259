"""Chronicle of a vassal: when what has happened, on the wall clock, for statistics."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Chronicle:
    """Chronicle of a vassal; times are seconds of the epoch, 0.0 is never.

    Attributes:
        born: change of its file when it was added, or when its process was started again.
        first_run: start of its process.
        modified: change of its file for which it was started or told to reload last.
        last_run: start, or last order to reload.
        last_ready: when it said so.
        last_accepting: likewise.
        last_loyal: likewise.
        last_heartbeat: likewise.
        cursed: when it was told to stop, closed its pipe or was killed.
        respawns: orders to reload that its process got.
        restarts: processes that followed one that had ended by itself.
        last_end: how its last process has ended, in words.
        last_lines: that it wrote last.
        ended_at: when.
        next_start: when the next process starts.
    """

    born: float
    first_run: float
    modified: float = 0.0
    last_run: float = 0.0
    last_ready: float = 0.0
    last_accepting: float = 0.0
    last_loyal: float = 0.0
    last_heartbeat: float = 0.0
    cursed: float = 0.0
    respawns: int = 0
    restarts: int = 0
    last_end: str = ""
    last_lines: list[str] = field(default_factory=list)
    ended_at: float = 0.0
    next_start: float = 0.0

    def __post_init__(self) -> None:
        """Begin with the file as it is."""
        self.modified = self.modified or self.born
        self.last_run = self.last_run or self.first_run

    def began(self, mtime: float, wall: float) -> None:
        """Note that a process was started."""
        if self.ended_at:
            self.restarts += 1
        self.born, self.modified = mtime, max(mtime, self.modified)
        self.first_run = self.last_run = wall
        self.cursed = self.next_start = self.last_heartbeat = 0.0
        self.respawns = 0

    def reloaded(self, wall: float) -> None:
        """Note that its process was told to reload."""
        self.respawns += 1
        self.last_run = wall

    def ended(self, wall: float, next_start: float) -> None:
        """Note that its process has ended."""
        self.ended_at, self.next_start, self.cursed = wall, next_start, 0.0
