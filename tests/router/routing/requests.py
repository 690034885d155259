"""Requests, as a forwarder sees them."""

from uwsgi_router.router.fronts.uwsgi.request import UwsgiRequest


def asking(
    key: bytes | str, *, is_host: bool = True, path: bytes = b"/", client: bytes = b"192.0.2.1"
) -> UwsgiRequest:
    return UwsgiRequest(
        key=key.encode() if isinstance(key, str) else key,
        key_is_host=is_host,
        method=b"GET",
        content_length=0,
        client=client,
        path=path,
        packet=b"",
        rest=b"",
    )
