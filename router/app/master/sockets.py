"""Sockets of the master: opened once for all processes, kept by address, closed when nobody uses them."""

import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from uwsgi_router.router.config.model import ProcessConfig
from uwsgi_router.router.net.activation import Inherited, InheritedSocket, SocketRequest, adopt
from uwsgi_router.router.net.binding import bind
from uwsgi_router.router.net.lanes import second_lane
from uwsgi_router.router.net.listeners import (
    BindError,
    BoundSocket,
    bind_datagram,
    bind_stream,
)
from uwsgi_router.router.net.unix_file import SocketFile, SocketFileError, set_access
from uwsgi_router.router.net.zerg_listeners import ZERG, take_zerg

_INET: Final = (socket.AF_INET, socket.AF_INET6)

#: What an address was asked for by: its kind, and the text of the configuration.
Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Asker:
    """Process that asks for sockets.

    Attributes:
        user: its generation, or itself: as long as that lives, the sockets stay.
        slot: its place among the workers, from 0.
        directory: where it is: relative paths are meant from there.
        umask: the mask of its files.
    """

    user: str
    slot: int
    directory: str
    umask: int


@dataclass(eq=False, slots=True)
class BoundAddress:
    """BoundAddress: all sockets of one bound address.

    Attributes:
        kind: SOCK_STREAM or SOCK_DGRAM.
        sockets: one for each slot of workers, or one for all.
        users: who uses it.
        workers: how many workers accept there.
    """

    kind: int
    sockets: list[BoundSocket]
    users: set[str] = field(default_factory=set)
    workers: int = 1

    @property
    def spreads(self) -> bool:
        """True if each worker can have a socket of its own: TCP that we opened ourselves."""
        first = self.sockets[0]
        stream = self.kind == socket.SOCK_STREAM
        return stream and not first.inherited and first.sock.family in _INET

    def of_slot(self, slot: int, slots: int) -> list[BoundSocket]:
        """Return the sockets of a worker; those of workers that there are no more are shared out."""
        if not self.spreads:
            return self.sockets[:1]
        return [one for number, one in enumerate(self.sockets) if number % slots == slot]

    def close(self) -> None:
        """Close our copies, and remove the file."""
        for one in self.sockets:
            one.close()


class MasterSockets:
    """Sockets of the master.

    Args:
        inherited: what was open when the program started.
    """

    def __init__(self, inherited: Iterable[InheritedSocket] = ()) -> None:
        self._inherited = list(inherited)
        self._places: list[BoundAddress] = []
        self._keys: dict[Key, list[BoundAddress]] = {}

    # --- opening ---

    def open(self, request: SocketRequest, asker: Asker) -> list[BoundSocket]:
        """Return the sockets of an address for a process, opened if nobody had them before.

        Raises:
            BindError: they can't be opened; what was opened for others stays.
        """
        process = replace(ProcessConfig(), **request.options)
        key = int(request.kind), request.text
        with _standing(asker.directory, asker.umask):
            places = self._keys.get(key)
            if places is None:
                places = self._keys[key] = self._opened(request, process, asker)
            else:
                for place in places:
                    if asker.user not in place.users:
                        _adjust(request.text, place, process)
            found: list[BoundSocket] = []
            for place in places:
                place.users.add(asker.user)
                place.workers = request.workers
                if place.spreads and len(place.sockets) < request.workers:
                    _spread(request, place, process)
                found += place.of_slot(asker.slot, request.workers)
        return found

    def _opened(
        self, request: SocketRequest, process: ProcessConfig, asker: Asker
    ) -> list[BoundAddress]:
        """Return places of an address that was not asked for before: by another name it may be known."""
        ours = {
            id(place.sockets[0].sock): place
            for place in self._places
            if asker.user not in place.users and place.kind == request.kind
        }
        inherited = Inherited(place.sockets[0].sock for place in ours.values())
        inherited.add(self._free_inherited(asker.user))
        if request.text.startswith(ZERG):
            bound = take_zerg(request.text, process)
        elif request.kind == socket.SOCK_STREAM:
            bound = bind_stream(
                request.text,
                process,
                inherited,
                server_first=request.server_first,
                targets=request.targets,
            )
        else:
            bound = bind_datagram(request.text, process, inherited, targets=request.targets)
        places = []
        for one in bound:
            place = ours.get(id(one.sock))
            if place is None:
                if request.lanes:
                    one.second = second_lane(one)
                place = BoundAddress(int(request.kind), [one])
                self._places.append(place)
            places.append(place)
        return places

    def _free_inherited(self, user: str) -> list[InheritedSocket]:
        taken = {
            id(one.sock)
            for place in self._places
            for one in place.sockets
            if one.inherited and user in place.users
        }
        # Afresh: whether one is used is known here.
        return [replace(one, used=False) for one in self._inherited if id(one.sock) not in taken]

    # --- what becomes of them ---

    def unused(self) -> list[InheritedSocket]:
        """Return what was inherited and is not used."""
        used = {id(one.sock) for place in self._places for one in place.sockets}
        return [one for one in self._inherited if id(one.sock) not in used]

    def watched(self) -> Iterator[BoundSocket]:
        """Yield those with files of ours."""
        for place in self._places:
            yield from (one for one in place.sockets if one.file is not None)

    def lendable(self, user: str, slot: int) -> Iterator[tuple[str, BoundSocket]]:
        """Yield what only one worker accepts on, with the text of the address."""
        for (_kind, text), places in self._keys.items():
            for place in places:
                if user in place.users and place.spreads and place.workers > 1:
                    for one in place.of_slot(slot, place.workers):
                        yield text, one

    def keys_of(self, bound: BoundSocket) -> Iterator[tuple[Key, int]]:
        """Yield by what each process knows a socket: kind and text, and its number among the sockets of that."""
        for key, places in self._keys.items():
            for number, place in enumerate(places):
                if bound in place.sockets:
                    yield key, number

    def leaving(self, staying: Collection[str]) -> list[Key]:
        """Return what is used only by who leaves, by kind and text."""
        return [
            key
            for key, places in self._keys.items()
            if not any(place.users & set(staying) for place in places)
        ]

    def release(self, staying: Collection[str]) -> None:
        """Close what none of these uses; sockets that were inherited stay open, for others."""
        for place in self._places:
            place.users &= set(staying)
        gone = [place for place in self._places if not place.users]
        self._places = [place for place in self._places if place.users]
        for place in gone:
            if not place.sockets[0].inherited:
                place.close()
        self._keys = {
            key: kept
            for key, places in self._keys.items()
            if (kept := [place for place in places if place not in gone])
        }

    def unlink(self) -> None:
        """Remove the files of ours: who comes now is told at once that nobody is here."""
        for one in self.watched():
            one.unlink()

    def close(self) -> None:
        """Close everything of ours."""
        for place in self._places:
            place.close()
        self._places.clear()
        self._keys.clear()

    # --- over an exec ---

    def state(self) -> Mapping[str, Any]:
        """Return what :meth:`restore` needs, after an exec that the descriptors have outlived."""
        numbers = {id(place): number for number, place in enumerate(self._places)}
        return {
            "inherited": [[one.fd, one.name] for one in self._inherited],
            "places": [
                {
                    "kind": place.kind,
                    "users": sorted(place.users),
                    "workers": place.workers,
                    "sockets": [_socket_state(one) for one in place.sockets],
                }
                for place in self._places
            ],
            "keys": [
                [kind, text, [numbers[id(place)] for place in places]]
                for (kind, text), places in self._keys.items()
            ],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "MasterSockets":
        """Return them again, from descriptors that were inherited."""
        adopted: dict[int, socket.socket] = {}

        def sock_of(descriptor: int) -> socket.socket:
            if descriptor not in adopted:
                adopted[descriptor] = adopt(descriptor)
            return adopted[descriptor]

        sockets = cls(InheritedSocket(sock_of(fd), fd, name) for fd, name in state["inherited"])
        for one in state["places"]:
            bound = [_socket_of(saved, sock_of) for saved in one["sockets"]]
            sockets._places.append(
                BoundAddress(one["kind"], bound, set(one["users"]), one["workers"])
            )
        for kind, text, numbers in state["keys"]:
            sockets._keys[kind, text] = [sockets._places[number] for number in numbers]
        return sockets

    def descriptors(self) -> Iterator[int]:
        """Yield the numbers of all that is open."""
        for inherited in self._inherited:
            yield inherited.sock.fileno()
        for place in self._places:
            for one in place.sockets:
                yield one.sock.fileno()
                if one.second is not None:
                    yield one.second.fileno()


def _socket_state(bound: BoundSocket) -> Mapping[str, Any]:
    file = bound.file
    return {
        "fd": bound.sock.fileno(),
        "name": bound.name,
        "inherited": bound.inherited,
        "file": None if file is None else [os.fsdecode(file.path), *file.identity],
        "second": None if bound.second is None else bound.second.fileno(),
    }


def _socket_of(state: Mapping[str, Any], sock_of: Callable[[int], socket.socket]) -> BoundSocket:
    file, second = state["file"], state["second"]
    return BoundSocket(
        sock_of(state["fd"]),
        state["name"],
        inherited=state["inherited"],
        file=None
        if file is None
        else SocketFile.remembered(os.fsencode(file[0]), (file[1], file[2])),
        second=None if second is None else sock_of(second),
    )


@contextmanager
def _standing(directory: str, umask: int) -> Iterator[None]:
    """Be where a process is that asks, with its mask."""
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    before = os.umask(umask)
    try:
        os.chdir(directory)
        yield
    except FileNotFoundError as exc:
        raise BindError(f"the directory {directory} is gone") from exc
    finally:
        os.umask(before)
        os.fchdir(here)
        os.close(here)


def _adjust(text: str, place: BoundAddress, process: ProcessConfig) -> None:
    """Give a socket that stays what a new configuration says of it."""
    if place.kind != socket.SOCK_STREAM or place.sockets[0].inherited:
        return
    for one in place.sockets:
        one.sock.listen(process.listen)
        if one.file is not None:
            try:
                set_access(one.file.path, process.chmod_socket, process.chown_socket)
            except SocketFileError as exc:
                raise BindError(f"cannot listen on {text}: {exc}") from exc


def _spread(request: SocketRequest, place: BoundAddress, process: ProcessConfig) -> None:
    """Open one more socket of an address for each worker that has none: the kernel spreads connections over them."""
    first = place.sockets[0]
    # The first one was bound without it: an address in use is still noticed at the start.
    first.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    spread = replace(process, reuse_port=True)
    defer = process.defer_accept and not request.server_first
    while len(place.sockets) < request.workers:
        try:
            sock, _file = bind(
                first.sock.family,
                socket.SOCK_STREAM,
                first.sock.getsockname(),
                spread,
                defer=defer,
            )
        except OSError as exc:
            raise BindError(
                f"cannot listen on {request.text} with {request.workers} workers: {exc.strerror}"
            ) from exc
        place.sockets.append(BoundSocket(sock, first.name))
