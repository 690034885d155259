"""A reload script for vassals behind a fastrouter, as operators of uWSGI have it: touches files, and reads statistics.

It takes a lock on itself, touches all but a minimum of the files at once and the others one after the other, and asks
``uwsgi --connect-and-read`` again and again. A vassal is done once the Emperor has seen its file's new time, it
accepts, and a node of its name is in a pool without a death mark. Its exit code says nothing about that.
"""

import argparse
import fcntl
import json
import os
import subprocess
import sys
import time
from typing import Any


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--uwsgi", default="uwsgi")
    parser.add_argument("--emperor-path", required=True)
    parser.add_argument("--fastrouter-stats-socket", required=True)
    parser.add_argument("--emperor-stats-socket", required=True)
    parser.add_argument("--vassal-config-file-suffix", default=".ini")
    parser.add_argument("--minimum-active-vassals", type=int, default=1)
    parser.add_argument("--timeout", type=int, default=60)
    parser.add_argument("--check-interval", type=float, default=0.1)
    parser.add_argument("-q", "--quiet", action="store_true")
    options = parser.parse_args()
    with open(__file__, encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.stdout.write("Unable to acquire lock. Giving up.\n")
            return 1
        files = sorted(
            os.path.join(options.emperor_path, name)
            for name in os.listdir(options.emperor_path)
            if name.endswith(options.vassal_config_file_suffix)
        )
        minimum = options.minimum_active_vassals
        if len(files) > minimum + 1:
            reload(options, files[: len(files) - minimum])
            files = files[len(files) - minimum :]
        for file in files:
            reload(options, [file])
    return 0


def name_of(file: str) -> str:
    return os.path.basename(file).partition(".")[0]


def stats(options: argparse.Namespace, address: str) -> dict[str, Any]:
    done = subprocess.run(
        [options.uwsgi, "--connect-and-read", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def vassal(options: argparse.Namespace, file: str) -> dict[str, Any]:
    for one in stats(options, options.emperor_stats_socket)["vassals"]:
        if one["id"].partition(".")[0] == name_of(file):
            found: dict[str, Any] = one
            return found
    return {"last_mod": 0, "accepting": 0}


def subscribed(options: argparse.Namespace, file: str) -> bool:
    pools = stats(options, options.fastrouter_stats_socket)["subscriptions"]
    return any(
        node["name"].rpartition("/")[2].partition(".")[0] == name_of(file)
        and node["death_mark"] == 0
        for pool in pools
        for node in pool["nodes"]
    )


def reload(options: argparse.Namespace, files: list[str]) -> None:
    started, before, stopped = {}, {}, set()
    for file in files:
        started[file] = time.time()
        before[file] = vassal(options, file)["last_mod"]
        subprocess.run(["touch", "-h", file], check=True)
    left = list(files)
    while left:
        for file in sorted(left):
            if file not in stopped and vassal(options, file)["last_mod"] != before[file]:
                stopped.add(file)
            done = file in stopped and vassal(options, file)["accepting"] == 1
            if done and subscribed(options, file):
                say(options, f"{name_of(file)}: reloaded")
            elif time.time() - started[file] >= options.timeout:
                say(options, f"{name_of(file)}: timeout reached")
            else:
                continue
            left.remove(file)
            break
        time.sleep(options.check_interval)


def say(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
