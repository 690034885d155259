"""Table of announced nodes at work: datagrams, state file, health checks, resubscription."""
