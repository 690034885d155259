"""The table of announced nodes: datagrams, state file, health checks, resubscription."""
