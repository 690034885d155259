"""Whether caches, what fills them and what reads them go together."""

from uwsgi_router.protocol.cache_value import ValueProblem, parse_value
from uwsgi_router.router.config.cache_reach import is_local, not_local
from uwsgi_router.router.config.model import CacheItem, Configuration, ProcessConfig

_DEFINE = "define one, for example cache2 = name=nodes,items=1000"


def missing(configuration: Configuration) -> list[str]:
    """Return what is missing for a start."""
    process = configuration.process
    names = [cache.name for cache in process.caches]
    found = [f"there are two caches called {name}" for name in names if names.count(name) > 1][:1]
    for router in configuration.routers:
        if router.use_cache is None or "@" in router.use_cache:
            continue
        option = f"{router.kind}-use-cache"
        if not names:
            found.append(f"{option}: there is no cache: {_DEFINE}")
        elif router.use_cache and router.use_cache not in names:
            known = ", ".join(names)
            found.append(f"{option} = {router.use_cache}: the caches are called {known}")
    for item in process.cache_items + process.cache_files:
        if not names or (item.cache is not None and item.cache not in names):
            known = f"the caches are called {', '.join(names)}" if names else "there is no cache"
            found.append(f"{_line(item)}: {known}")
    if process.cache_sockets and not names:
        found.append(f"cache-socket = {process.cache_sockets[0]}: there is no cache: {_DEFINE}")
    if not process.cache_socket_public:
        found += [not_local(text) for text in process.cache_sockets if not is_local(text)]
    return found


def oddities(configuration: Configuration) -> list[str]:
    """Return what starts and hardly does what was meant."""
    process = configuration.process
    found = [
        f"cache2 = name={cache.name}: {', '.join(cache.unused)}: not yet: items are kept in memory only"
        for cache in process.caches
        if cache.unused
    ]
    used: set[str] = set()
    for router in configuration.routers:
        if router.use_cache is not None and "@" not in router.use_cache and process.caches:
            used.add(router.use_cache or process.caches[0].name)
    for cache in process.caches:
        if cache.name not in used:
            found.append(f"the cache {cache.name} is used by no router")
        elif not _is_filled(cache.name, process):
            found.append(
                f"the cache {cache.name} stays empty, so every request fails: add cache-socket or add-cache-item"
            )
    for item in process.cache_items:
        if used and (item.cache is None or item.cache in used):
            found += _unreadable(item)
    return found


def _is_filled(name: str, process: ProcessConfig) -> bool:
    items = process.cache_items + process.cache_files
    return bool(process.cache_sockets) or any(item.cache in {None, name} for item in items)


def _unreadable(item: CacheItem) -> list[str]:
    assert item.value is not None
    try:
        parse_value(item.value.encode("utf-8", "surrogateescape"))
    except ValueProblem as problem:
        return [f"{_line(item)}: requests for this key will fail: {problem}"]
    return []


def _line(item: CacheItem) -> str:
    if item.value is None:
        return f"load-file-in-cache = {item.key}"
    return f"add-cache-item = {item.key}={item.value}"
