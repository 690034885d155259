"""Everything that is fuzzed, and words that help to get far into it."""

from tests.fuzz import (
    control_targets,
    frame_targets,
    http_targets,
    jail_targets,
    packet_targets,
    tls_targets,
    variables_targets,
)

TARGETS = (
    packet_targets.TARGETS
    + http_targets.TARGETS
    + variables_targets.TARGETS
    + frame_targets.TARGETS
    + control_targets.TARGETS
    + jail_targets.TARGETS
    + tls_targets.TARGETS
)
WORDS = (*packet_targets.WORDS, *http_targets.WORDS, *variables_targets.WORDS)
