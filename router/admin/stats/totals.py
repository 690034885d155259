"""Totals of a router among its metrics: which counters are shown one to one, and under which names."""

TOTALS = (
    ("requests", "Requests that were read, over HTTP also those that were refused."),
    ("completed", "Requests whose answer was delivered whole."),
    ("client_aborts", "Requests whose client went away before the answer was whole."),
    ("retries", "Connects tried after an earlier one for the same request had failed."),
    ("retries_refused", "Requests that asked no further node because so many did already."),
    ("resent", "Requests sent again because a node ended the connection without an answer."),
    ("held", "Requests that waited for a node of their key."),
    ("queued", "Requests that waited for a connection to an HTTP node."),
    ("spilled", "Bodies that went to a file because others filled the memory for bodies."),
    ("refused_packets", "Client connections closed because they sent no acceptable request."),
    ("refused_datagrams", "Announces that were malformed, or refused by the table."),
    ("lost_datagrams", "Datagrams to subscription servers that the kernel had no room for."),
    ("bytes_received", "Bytes read from clients."),
    ("bytes_sent", "Bytes written to clients."),
    ("idle_closed", "Idle client connections closed to make room for others."),
    ("accept_errors", "Failed accepts, nearly always for want of descriptors."),
)
"""Attributes of Counters that are shown one to one."""

NAMES = {
    "completed": "requests_completed",
    "client_aborts": "requests_client_aborted",
    "retries": "connect_retries",
    "resent": "requests_resent",
    "held": "requests_held",
    "idle_closed": "idle_connections_closed",
    "queued": "requests_queued",
    "spilled": "bodies_spilled",
    "bytes_received": "client_received_bytes",
    "bytes_sent": "client_sent_bytes",
}
"""Metric names, where they differ from the attribute."""
