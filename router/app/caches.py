"""Caches of the configuration with their initial items, and cache sockets."""

import os
from dataclasses import replace

from uwsgi_router.protocol.text import to_bytes
from uwsgi_router.router.config.cache_reach import is_local, not_local
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import CacheItem, ProcessConfig
from uwsgi_router.router.core.files import open_file
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.net.listeners import BoundSocket, bind_stream
from uwsgi_router.router.routing.cache_store import Caches, NotStored


def build_caches(process: ProcessConfig) -> Caches:
    """Make the caches, and put the configured items into them.

    Raises:
        StartError: if an item can't be stored, or its file not be read.
    """
    caches = Caches(process.caches)
    for item in process.cache_items:
        _add(caches, item, f"add-cache-item = {item.key}={item.value}")
    for item in process.cache_files:
        _add(caches, item, f"load-file-in-cache = {item.key}")
    return caches


def _add(caches: Caches, item: CacheItem, line: str) -> None:
    key = to_bytes(item.key)
    if item.value is not None:
        value = to_bytes(item.value)
    else:
        try:
            with open(open_file(item.key, os.O_RDONLY), "rb") as file:
                value = file.read()
        except OSError as exc:
            raise StartError(f"{line}: the file can't be read: {exc.strerror}") from exc
    if item.cache is None:
        targets = list(caches)
    else:
        cache = caches.find(to_bytes(item.cache))
        if cache is None:
            raise StartError(f"{line}: there is no cache {item.cache}")
        targets = [cache]
    for target in targets:
        try:
            # No item from here ever ends, so it does not matter what time it is.
            target.store(key, value, 0.0, overwrite=False)
        except NotStored as exc:
            raise StartError(f"{line}: not stored in {target.config.name}: {exc}") from exc


def bind_cache_sockets(process: ProcessConfig, inherited: Inherited) -> list[BoundSocket]:
    """Listen on the cache sockets.

    Whoever can write to a cache decides where requests go. So ``chmod-socket``, meant for web servers, does not open
    these to all users, unless ``cache-socket-public`` says so.

    Raises:
        StartError: if one can't be listened on; then none stays open.
    """
    if not process.cache_socket_public and process.chmod_socket is not None:
        process = replace(process, chmod_socket=process.chmod_socket & 0o770)
    bound: list[BoundSocket] = []
    try:
        for text in process.cache_sockets:
            if not process.cache_socket_public and not is_local(text):
                raise StartError(not_local(text))
            bound += bind_stream(text, process, inherited)
    except BaseException:
        for one in bound:
            one.close()
        raise
    return bound
