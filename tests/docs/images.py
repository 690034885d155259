"""Dockerfiles in the pages: what they run is a command line that we understand."""

import json
from typing import Final

_KNOWN: Final = {"FROM", "COPY", "WORKDIR", "RUN", "USER", "ENV", "EXPOSE", "ENTRYPOINT", "CMD"}


def check_dockerfile(text: str) -> list[str]:
    """Return the words of the container's process: those of ENTRYPOINT, then those of CMD.

    Raises:
        AssertionError: for an instruction that nobody has looked up yet, or a shell between Docker and the process,
            which would keep signals to itself.
    """
    process: dict[str, list[str]] = {"ENTRYPOINT": [], "CMD": []}
    for line in text.splitlines():
        instruction, _, rest = line.partition(" ")
        assert instruction in _KNOWN, line
        if instruction in process:
            assert rest.startswith("["), f"{line}: the form with a shell"
            process[instruction] = json.loads(rest)
    return process["ENTRYPOINT"] + process["CMD"]
