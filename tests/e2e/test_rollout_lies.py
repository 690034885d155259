"""Rollouts of vassals whose Emperor's statistics say what can't be."""

import json
import os
import socket
import subprocess
import threading
from pathlib import Path

from tests.lab import programs


def _serve(listener: socket.socket, document: bytes) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            client.sendall(document)


def test_a_file_older_than_no_time_there_is_ends_in_one_line(tmp_path: Path) -> None:
    vassals = tmp_path / "vassals"
    vassals.mkdir()
    (vassals / "shop.ini").write_text("[uwsgi]\n")
    pid = os.getpid()
    vassal = {"id": "shop.ini", "pid": pid, "last_mod": 2**63 - 1, "accepting": 1, "loyal": 1}
    document = {"version": "2.0.31", "pid": pid, "vassals": [vassal], "blacklist": []}
    path = str(tmp_path / "stats")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        server = threading.Thread(target=_serve, args=(listener, json.dumps(document).encode()))
        server.start()
        try:
            command = [programs.uwsgi_router(), "rollout", "--emperor-path", str(vassals)]
            command += ["--emperor-stats-socket", path, "--allow-unrouted", "--no-health"]
            command += ["--minimum-active-vassals", "0"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "no file can be newer than the Emperor says it is" in done.stderr
