"""Which files are for a name: the order of sources, wildcards, dotsplit, directories, names that become paths."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.certificates.errors import UnknownName
from uwsgi_router.router.certificates.names import CertificateNames, files_in, policy_of
from uwsgi_router.router.config.tls import TlsConfig
from uwsgi_router.router.config.types import CertificateFiles

DEFAULT = CertificateFiles("the listener", "/own.crt", "/own.key")


def files(name: str) -> CertificateFiles:
    return CertificateFiles(name, f"/{name}.crt", f"/{name}.key")


def put(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.touch()


def test_sources_in_their_order(tmp_path: Path) -> None:
    """With each source that is taken away, the next one decides."""
    name = "a.b.example"
    put(tmp_path, f"{name}.crt", "*.b.example.crt")
    sources = {
        "exact": lambda config: replace(config, sni=(*config.sni, files(name))),
        "announced": lambda config: config,
        "wildcard": lambda config: replace(config, sni=(*config.sni, files("*.b.example"))),
        "parent": lambda config: replace(config, sni=(*config.sni, files("b.example"))),
        "pattern": lambda config: replace(config, sni_regexps=(files("^a[.]b"),)),
        "directory": lambda config: replace(config, sni_dirs=(str(tmp_path),)),
    }
    expected = {
        "exact": files(name),
        "announced": replace(files(name), certificate="/announced"),
        "wildcard": files("*.b.example"),
        "parent": files("b.example"),
        "pattern": files("^a[.]b"),
        "directory": files_in(str(tmp_path), name, ""),
        "default": DEFAULT,
    }
    left = list(sources)
    while True:
        config = TlsConfig()
        for source in left:
            config = sources[source](config)
        told = {name: expected["announced"]} if "announced" in left else {}
        names = CertificateNames(config, dotsplit=True, announced=told.get)
        assert names.find(name, DEFAULT, 0.0) == expected[left[0] if left else "default"]
        if not left:
            return
        left.pop(0)


def test_wildcards_are_for_one_label() -> None:
    names = CertificateNames(TlsConfig(sni=(files("*.example"),)), dotsplit=False)
    assert names.find("a.example", DEFAULT, 0.0) == files("*.example")
    for name in ("example", "a.b.example", "aexample", "*.a.example"):
        assert names.find(name, DEFAULT, 0.0) == DEFAULT


def test_dotsplit_takes_the_nearest_and_no_more_than_five() -> None:
    config = TlsConfig(sni=(files("c.example"), files(".b.c.example"), files("far.example")))
    names = CertificateNames(config, dotsplit=True)
    assert names.find("x.c.example", DEFAULT, 0.0) == files("c.example")
    assert names.find("a.b.c.example", DEFAULT, 0.0) == files(".b.c.example")
    assert names.find("1.2.3.4.5.far.example", DEFAULT, 0.0) == files("far.example")
    assert names.find("0.1.2.3.4.5.far.example", DEFAULT, 0.0) == DEFAULT


def test_without_a_name_it_is_the_listeners_own_and_strict_refuses_only_names() -> None:
    names = CertificateNames(TlsConfig(sni=(files("a.example"),), sni_strict=True), dotsplit=False)
    assert names.find(None, DEFAULT, 0.0) == DEFAULT
    assert names.find("a.example", DEFAULT, 0.0) == files("a.example")
    with pytest.raises(UnknownName, match=r"b\.example"):
        names.find("b.example", DEFAULT, 0.0)


def test_a_directory_is_looked_into_once_a_second(tmp_path: Path) -> None:
    names = CertificateNames(TlsConfig(sni_dirs=(str(tmp_path),)), dotsplit=False)
    assert names.find("a.example", DEFAULT, 10.0) == DEFAULT
    put(tmp_path, "a.example.crt")
    assert names.find("a.example", DEFAULT, 10.9) == DEFAULT
    found = names.find("a.example", DEFAULT, 11.0)
    assert (found.certificate, found.key) == (
        f"{tmp_path}/a.example.crt",
        f"{tmp_path}/a.example.key",
    )
    (tmp_path / "a.example.crt").unlink()
    assert names.find("a.example", DEFAULT, 11.9) == found
    assert names.find("a.example", DEFAULT, 12.0) == DEFAULT


def test_forms_of_files_in_a_directory(tmp_path: Path) -> None:
    put(tmp_path, "a.crt", "a.ca", "b/fullchain.pem", "b/client-ca.pem", "*.c.crt", "d/cert.pem")
    config = TlsConfig(sni_dirs=("/no/such", str(tmp_path)), sni_dir_ciphers="HIGH")
    names = CertificateNames(config, dotsplit=False)
    assert names.find("a", DEFAULT, 0.0) == CertificateFiles(
        "a", f"{tmp_path}/a.crt", f"{tmp_path}/a.key", "HIGH", f"{tmp_path}/a.ca"
    )
    assert names.find("b", DEFAULT, 0.0) == CertificateFiles(
        "b",
        f"{tmp_path}/b/fullchain.pem",
        f"{tmp_path}/b/privkey.pem",
        "HIGH",
        f"{tmp_path}/b/client-ca.pem",
    )
    assert names.find("x.c", DEFAULT, 0.0).certificate == f"{tmp_path}/*.c.crt"
    assert names.find("d", DEFAULT, 0.0) == DEFAULT


@given(st.text(max_size=40))
def test_no_text_leads_out_of_a_directory(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    place = tmp_path_factory.getbasetemp() / "names"
    put(place, "secret.crt")
    put(place / "dir", "a.crt")
    config = TlsConfig(sni_dirs=(str(place / "dir"),))
    names = CertificateNames(config, dotsplit=False)
    for name in (text, f"../{text}", f"..{text}secret", "../secret", f"a/../../{text}"):
        found = names.find(name, DEFAULT, 0.0)
        assert found == DEFAULT or Path(found.certificate).parent == place / "dir"


@pytest.mark.parametrize(
    ("config", "announced", "has"),
    [
        (TlsConfig(), False, False),
        (TlsConfig(sni=(files("a"),), sni_regexps=(files("b"),)), False, False),
        (TlsConfig(sni=(replace(files("a"), client_ca="/ca"),)), False, True),
        (TlsConfig(sni_regexps=(replace(files("a"), client_ca="/ca"),)), False, True),
        (TlsConfig(sni_dirs=("/x",)), False, True),
        (TlsConfig(), True, True),
    ],
)
def test_whether_any_name_may_want_certificates(
    config: TlsConfig, announced: bool, has: bool
) -> None:
    told = (lambda _name: None) if announced else None
    assert CertificateNames(config, dotsplit=False, announced=told).has_policies is has


def test_policies_differ_by_authority_and_by_force() -> None:
    some = [
        files("a"),
        replace(files("a"), client_ca="/one"),
        replace(files("a"), client_ca="/one", ca_required=True),
        replace(files("a"), client_ca="/two"),
    ]
    assert len({policy_of(one) for one in some}) == len(some)
    assert policy_of(some[1]) == policy_of(replace(files("b"), client_ca="/one"))
