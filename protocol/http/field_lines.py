"""Field lines of a head that are passed on: a list, or one piece."""


class FieldLines:
    """Field lines, kept as they were found; the other form is made when somebody asks for it.

    Args:
        lines: without their ends.
    """

    __slots__ = ("_block", "_lines")

    def __init__(self, lines: list[bytes]) -> None:
        self._lines: list[bytes] | None = lines
        self._block: bytes | None = None

    @property
    def lines(self) -> list[bytes]:
        """``Name: value`` of each field, in order."""
        lines = self._lines
        if lines is None:
            lines = self._lines = (self._block or b"").split(b"\r\n")[:-1]
        return lines

    @property
    def block(self) -> bytes:
        """The same as one piece, each line with its CR LF."""
        block = self._block
        if block is None:
            block = self._block = b"\r\n".join((*(self._lines or ()), b""))
        return block

    def set_lines(self, lines: list[bytes]) -> None:
        """Pass these lines on instead."""
        self._lines = lines
        self._block = None

    def drop(self, name: bytes) -> None:
        """Pass no field of this lower-case name on."""
        if name in self.block.lower():
            start = name + b":"
            self.set_lines([line for line in self.lines if not line.lower().startswith(start)])

    def set_block(self, block: bytes) -> None:
        """Pass these lines on instead.

        Args:
            block: each line has its end.
        """
        self._lines = None
        self._block = block
