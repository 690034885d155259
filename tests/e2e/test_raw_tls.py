"""TLS with real programs: Redis and PostgreSQL behind the SSL router, uWSGI and nginx over suwsgi."""

import ssl
from pathlib import Path

import pytest

from tests.lab import programs
from tests.lab.clients import Client
from tests.lab.databases import command
from tests.lab.place import Place
from tests.lab.processes import Process, free_port, run
from tests.lab.servers import APPS
from tests.lab.tls import Authority
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("tls"))


def test_redis_benchmark_over_tls(lab: Place, authority: Authority) -> None:
    redis, port, files = lab.redis(), free_port(), authority.issue()
    router = lab.command(
        f"--sslrouter2=addr=127.0.0.1:{port},cert={files.certificate},key={files.key}",
        f"--sslrouter-to={redis.address}",
    )
    benchmark = (programs.debian("redis-benchmark"), "-h", "localhost", "-p", str(port), "-q")
    tls = ("--tls", "--cacert", authority.file, "-t", "set,get")
    for load in (("-n", "5000", "-c", "20"), ("-n", "30", "-c", "3", "-d", "3000000")):
        ended = run(*benchmark, *tls, *load)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("requests per second") == 2
        assert "rror" not in ended.stdout + ended.stderr
    assert "a bug" not in router.output()


def test_postgres_through_a_tls_client(lab: Place, authority: Authority) -> None:
    """pgbench speaks to socat, socat TLS to the router, and the router plain to the server."""
    postgres, port, files = lab.postgres(), free_port(), authority.issue()
    lab.command(
        f"--sslrouter=127.0.0.1:{port},{files.certificate},{files.key}",
        f"--sslrouter-to={postgres.address}",
        "--sslrouter-timeout=0",
    )
    local = free_port()
    lab.program(
        "socat",
        programs.debian("socat"),
        f"TCP-LISTEN:{local},bind=127.0.0.1,fork,reuseaddr",
        f"OPENSSL:localhost:{port},cafile={authority.file}",
    ).wait_until_it_accepts(f"127.0.0.1:{local}")
    login = ("-h", "127.0.0.1", "-p", str(local), "-U", "postgres")
    pgbench = (programs.debian("pgbench"), *login)
    assert run(*pgbench, "-i", "-q", "postgres").returncode == 0
    ended = run(*pgbench, "-c", "2", "-t", "50", "-n", "-C", "-S", "postgres")
    assert "number of transactions actually processed: 100/100" in ended.stdout, ended.stderr


def test_redis_that_speaks_tls_is_passed_on_by_name(lab: Place, authority: Authority) -> None:
    files = authority.issue("redis.example")
    port = free_port()
    options = ("--tls-port", str(port), "--tls-cert-file", files.certificate)
    lab.redis(
        "redis",
        *(*options, "--tls-key-file", files.key),
        *("--tls-ca-cert-file", authority.file, "--tls-auth-clients", "no"),
    )
    router = lab.raw_router("--rawrouter-sni", subscriptions=True)
    lab.program(
        "subscribe",
        *(programs.uwsgi_router(), "subscribe", "--server", router.announce, "--proto", "raw"),
        *("--key", "redis.example", "--address", f"127.0.0.1:{port}", "--", "sleep", "60"),
    ).wait_for_output("announcing")
    context = ssl.create_default_context(cafile=authority.file)

    def answers() -> bool:
        client = Client(router.address)
        try:
            client.sock = context.wrap_socket(client.sock, server_hostname="redis.example")
            return command(client, b"PING") == b"+PONG\r\n"
        except (ssl.SSLError, ConnectionError):
            return False
        finally:
            client.close()

    wait_until(answers, "the node of this name answers")


class SecureVassal(Process):
    """uWSGI with a socket on which it speaks uwsgi inside TLS."""

    def __init__(self, directory: Path, certificate: str, key: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        argv = [
            programs.uwsgi(),
            "--master",
            "--suwsgi-socket",
            f"{self.address},{certificate},{key}",
        ]
        argv += ["--wsgi-file", str(APPS / "app.py"), "--need-app", "--die-on-term"]
        super().__init__(
            "secure", argv, log=directory / "secure.log", env={"NODE": "secure", "VASSAL": "secure"}
        )

    def wait_ready(self) -> None:
        """Wait until it accepts."""
        self.wait_until_it_accepts(self.address)


def test_uwsgi_answers_over_suwsgi(lab: Place, authority: Authority) -> None:
    """It ends its answers without close_notify, whatever ends them."""
    files = authority.issue()
    vassal = lab.started(SecureVassal(lab.directory, files.certificate, files.key))
    port = vassal.address.rpartition(":")[2]
    router = lab.http_router(
        f"--http-to=suwsgi://localhost:{port}", f"--http-backend-ca={authority.file}"
    )
    with router.client() as client:
        answer = client.get("/", "Connection: close")
    assert answer.status == 200
    assert "failed" not in router.output()


def test_a_long_answer_over_suwsgi_survives_the_clients_half_close(
    lab: Place, authority: Authority
) -> None:
    """uWSGI reads no close_notify behind a request; what it then leaves unread would make a reset of its end."""
    files = authority.issue()
    vassal = lab.started(SecureVassal(lab.directory, files.certificate, files.key))
    port = vassal.address.rpartition(":")[2]
    router = lab.http_router(
        f"--http-to=suwsgi://localhost:{port}", f"--http-backend-ca={authority.file}"
    )
    with router.client() as client:
        client.request("GET", "/download?size=5000000", "Connection: close")
        client.eof()
        assert len(client.final().body) == 5_000_000
    assert "failed" not in router.output()


_NGINX = """
daemon off; master_process off; pid {directory}/suwsgi.pid; error_log stderr;
events {{}}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      uwsgi_pass suwsgi://localhost:{router};
      uwsgi_ssl_verify on; uwsgi_ssl_trusted_certificate {ca}; uwsgi_ssl_server_name on;
      uwsgi_param HTTP_HOST $host; uwsgi_param REQUEST_METHOD $request_method;
      uwsgi_param REQUEST_URI $request_uri; uwsgi_param PATH_INFO $document_uri;
      uwsgi_param QUERY_STRING $query_string; uwsgi_param SERVER_PROTOCOL $server_protocol;
      uwsgi_param SERVER_NAME $server_name; uwsgi_param SERVER_PORT $server_port;
    }}
  }}
}}
"""


def test_nginx_asks_over_suwsgi(lab: Place, authority: Authority) -> None:
    node = lab.server("uwsgi")
    files, secure, port = authority.issue(), free_port(), free_port()
    lab.command(
        f"--fastrouter-suwsgi=127.0.0.1:{secure},{files.certificate},{files.key}",
        f"--fastrouter-to={node.address}",
    )
    config = lab.directory / "suwsgi.conf"
    config.write_text(
        _NGINX.format(directory=lab.directory, port=port, router=secure, ca=authority.file)
    )
    nginx = lab.program("nginx", programs.nginx(), "-p", str(lab.directory), "-c", str(config))
    nginx.wait_until_it_accepts(f"127.0.0.1:{port}")
    with Client(f"127.0.0.1:{port}") as client:
        assert client.get("/").status == 200
    with Client(f"127.0.0.1:{secure}") as plain:
        plain.send(b"\0\0\0\0")
        assert plain.ending()[0] == b""
