"""A router that runs out of descriptors: idle clients make room, the others and the statistics are served."""

import pytest

from tests.lab.messages import OK
from tests.lab.nodes import in_a_thread
from tests.lab.place import Place
from tests.lab.scripts import always

OPEN_FILES = 256
IDLE = 400
HALF = b"GET / HTTP/1.1\r\nHost: exam"


@pytest.mark.parametrize("sent", [b"", HALF], ids=["nothing", "half a head"])
def test_four_hundred_idle_clients_of_a_router_with_256_descriptors(
    lab: Place, sent: bytes
) -> None:
    with in_a_thread(answer=always(OK)) as node:
        router = lab.http_before(node, "--listen=1024", open_files=OPEN_FILES)
        with router.client() as kept:
            assert kept.get("/").status == 200
            for _ in range(IDLE):
                idle = router.connect()
                lab.closing(idle)
                idle.send(sent)
            # New ones, as many as there are descriptors.
            for _ in range(OPEN_FILES):
                with router.client() as client:
                    assert client.get("/", "Connection: close").status == 200
            assert kept.get("/").status == 200
        stats = router.stats()
        assert stats["idle_closed"] > 0
        assert stats["active_sessions"] < OPEN_FILES
    assert router.output().count("files that may be open are left") == 1
