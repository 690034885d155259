"""Fields of a health check's request: those that the requests of clients have."""


def health_fields(host: str, agent: str) -> list[tuple[str, str]]:
    """Return the fields, in order.

    An application may answer only for its own host, only over https, or only if it is told a client. So this is the
    request of a client on this machine, passed on by a proxy with TLS.

    Args:
        host: that is asked for.
        agent: who asks.
    """
    return [
        ("Host", host),
        ("User-Agent", agent),
        ("Accept", "*/*"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", host),
        ("Connection", "close"),
    ]
