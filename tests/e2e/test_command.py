"""The command, started as operators start it: from anywhere, with their files, with mistakes."""

import os
from pathlib import Path
from socket import SOCK_DGRAM, SOCK_STREAM

import pytest
from uwsgiconf.config import Section
from uwsgiconf.options.routing_routers import RouterFast

from tests.lab import programs
from tests.lab.place import Place
from tests.lab.processes import free_port, run
from tests.lab.zerg import zerg_server


def test_it_starts_beside_packages_of_the_same_names(lab: Place) -> None:
    project = lab.directory / "project"
    for package in ("router", "protocol", "subscriptions"):
        (project / package).mkdir(parents=True)
        (project / package / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    router = lab.router(cwd=project, env={"PYTHONPATH": str(project)})
    router.stop()


def test_a_mistake_in_the_ini_is_one_line_and_exit_code_1(lab: Place) -> None:
    ini = lab.directory / "site.ini"
    ini.write_text("[uwsgi]\nfastrouter = 127.0.0.1:0\nfastrouter-timeuot = 5\n")
    ended = run(programs.uwsgi_router(), str(ini))
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert "site.ini:3" in line
    assert "fastrouter-timeuot" in line
    assert "fastrouter-timeout" in line


def forwarders(directory: Path) -> dict[str, RouterFast]:
    """Make one router of uwsgiconf for each forwarder that this program has."""
    ways = RouterFast.forwarders
    forward_to = {
        "base": ways.path(f"{directory}/"),
        "pattern": ways.path(f"{directory}/%s.sock"),
        "code": ways.code(f"{directory}/mapper.py", "choose"),
        "socket": ways.socket(f"{directory}/app.sock"),
        "subscriptions": ways.subscription_server(f"127.0.0.1:{free_port()}"),
        "cache": ways.cache("nodes"),
        "nodes": ["127.0.0.1:3031", "127.0.0.1:3032"],
    }
    return {
        name: RouterFast(on=f"127.0.0.1:{free_port()}", forward_to=way)
        for name, way in forward_to.items()
    }


@pytest.mark.parametrize(
    "forwarder", ["base", "pattern", "code", "socket", "subscriptions", "cache", "nodes"]
)
def test_an_ini_of_uwsgiconf_with_every_parameter_starts_and_ends(
    lab: Place, forwarder: str
) -> None:
    directory = lab.directory
    (directory / "mapper.py").write_text("def choose(key): return None\n")
    router = forwarders(directory)[forwarder]
    router.set_basic_params(
        # Four processes instead of two: once is enough.
        workers=2 if forwarder == "nodes" else 1,
        zerg_server=str(directory / "zerg.sock"),
        fallback_node="127.0.0.1:3033",
        concurrent_events=64,
        cheap_mode=True,
        stats_server=str(directory / "stats.sock"),
        quiet=True,
        buffer_size=8192,
        fallback_nokey=True,
        subscription_key="example.com",
        emperor_command_socket=str(directory / "emperor.sock"),
    )
    router.set_resubscription_params(addresses=["127.0.0.1:3034"], bind_to="127.0.0.1:3035")
    router.set_connections_params(
        harakiri=10, timeout_socket=20, retry_delay=5, retry_max=2, defer=3
    )
    router.set_postbuffering_params(size=1000, store_dir=str(directory))
    router.set_owner_params(uid=os.getuid(), gid=os.getgid())

    section = Section(style_prints=True)
    section.routing.use_router(router, force=True)
    if forwarder == "cache":
        section.caching.add_cache("nodes", max_items=10)
    section.set_plugins_params(plugins=["fastrouter", "python3"])
    section.master_process.set_basic_params(enable=True)
    section.workers.set_basic_params(count=2)
    section.workers.set_thread_params(enable=True)
    section.main_process.set_basic_params(vacuum=True)
    section.main_process.set_pid_file(str(directory / "site.pid"))
    section.logging.set_basic_params(template="%(method) %(uri)", no_requests=True)
    section.logging.log_into(str(directory / "site.log"))
    ini = Path(section.as_configuration().tofile(str(directory / "site.ini")))

    with zerg_server(directory / "zerg.sock"):
        command = lab.command(str(ini))
    assert int((directory / "site.pid").read_text()) == command.pid
    command.stop()


#: Set-ups of the manual's fastrouter and subscription server pages, ports and paths made ours.
MANUAL = {
    "base": "fastrouter = {tcp}\nfastrouter-use-base = {directory}/",
    "pattern": "fastrouter = {tcp}\nfastrouter-use-pattern = {directory}/%%s/uwsgi.sock",
    "subscriptions": "fastrouter = {tcp}\nfastrouter-subscription-server = {udp}",
    "fallback": (
        "fastrouter = {tcp}\nfastrouter-subscription-server = {udp}\n"
        "fastrouter-fallback = 127.0.0.1:3031"
    ),
    "abstract": "fastrouter = @e2e-{port}\nfastrouter-subscription-server = {directory}/udp.sock",
    "cheap": (
        "plugins = fastrouter\nmaster = true\nshared-socket = {tcp}\n"
        "fastrouter-subscription-server = {udp}\nfastrouter = =0\nfastrouter-cheap = true\n"
        "vacuum = true"
    ),
    "with everything usual": (
        "master = true\nprocesses = 4\nthreads = 2\nenable-threads = true\nvacuum = true\n"
        "logto = {directory}/router.log\nplugins = fastrouter,logfile\nlog-format = %(uri)\n"
        "die-on-term = true\nthunder-lock = true\nno-orphans = true\nforce-gateway = true\n"
        "auto-procname = true\nlog-date = true\ndisable-logging = true\nmax-fd = 4096\n"
        "fastrouter = {tcp}\nfastrouter-processes = 1\nfastrouter-stats = {directory}/stats.sock\n"
        "fastrouter-subscription-server = {udp}"
    ),
}


@pytest.mark.parametrize("example", MANUAL)
def test_a_set_up_of_uwsgis_manual_starts_and_ends(lab: Place, example: str) -> None:
    tcp, udp = (f"127.0.0.1:{free_port(kind)}" for kind in (SOCK_STREAM, SOCK_DGRAM))
    text = MANUAL[example].format(tcp=tcp, udp=udp, port=tcp[-5:], directory=lab.directory)
    ini = lab.directory / "router.ini"
    ini.write_text(f"[uwsgi]\n{text}\n")
    lab.command("--ini", str(ini)).stop()
