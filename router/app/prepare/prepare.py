"""Preparation of a configuration: every check that start and ``check`` have in common, short of binding and serving."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from uwsgi_router.router.app.prepare.addresses import (
    conflicts,
    devices,
    own_nodes,
    privileged_ports,
)
from uwsgi_router.router.app.prepare.files import file_problems
from uwsgi_router.router.app.process.identity import ProcessIdentity, identity
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.lines import Problem, Severity
from uwsgi_router.router.config.load import Report, in_order
from uwsgi_router.router.config.model import Configuration
from uwsgi_router.subscriptions.sni import SniError, SniFiles


def prepare(
    report: Report, *, load_code: bool = False, environ: Mapping[str, str] = os.environ
) -> Report:
    """Look at what a configuration needs of this machine, and return the report with what was found.

    Users are looked up, addresses compared, directories and files looked at; code is parsed.

    Args:
        report: of a configuration, from ``examine``.
        load_code: load code in a child process, instead of parsing it.
        environ: of copies of applications, before anything is added.
    """
    if report.usage:
        return report
    configuration, places = report.configuration, report.places
    problems: list[Problem] = []
    who = ProcessIdentity(None, None)
    try:
        who = identity(configuration.process, configuration.routers)
    except StartError as error:
        problems += places.problems([str(error)])
    if configuration.forkpty.allow_uids:
        from uwsgi_router.router.app.forkpty import allowed_users  # noqa: PLC0415

        problems += places.problems(_refusal(lambda: allowed_users(configuration.forkpty)))
    problems += places.problems(devices(configuration), Severity.DEPENDS)
    problems += places.problems(conflicts(configuration))
    problems += places.problems(own_nodes(configuration))
    if any(router.processes != 1 for router in configuration.routers):
        problems += places.problems(_of_workers(configuration, environ))
    problems += places.problems(privileged_ports(configuration), Severity.DEPENDS)
    problems += places.problems(_of_code(configuration, who if load_code else None))
    problems += file_problems(configuration, who, places)
    if _uses_tls(configuration):
        from uwsgi_router.router.app.prepare.certificates import certificate_problems  # noqa: PLC0415

        problems += certificate_problems(configuration, who, places)
    process = configuration.process
    if (process.cache_items or process.cache_files) and process.chdir is None:
        # Imported here, and so below, as it brings much that most configurations do not need.
        from uwsgi_router.router.app.caches import build_caches  # noqa: PLC0415

        problems += places.problems(_refusal(lambda: build_caches(process)))
    problems += places.problems(_of_announces(configuration))
    if configuration.emperor.places:
        from uwsgi_router.router.app.prepare.emperor import emperor_problems  # noqa: PLC0415

        for text, severity in emperor_problems(configuration):
            problems += places.problems([text], severity)
    found = dict.fromkeys([*report.problems, *problems])
    warnings = [one for one in found if one.severity is Severity.WARNING]
    return replace(
        report,
        configuration=replace(
            configuration, warnings=(*configuration.warnings, *map(str, warnings))
        ),
        problems=tuple(sorted((one for one in found if one not in warnings), key=in_order)),
        warnings=tuple(sorted([*report.warnings, *warnings], key=in_order)),
    )


def _uses_tls(configuration: Configuration) -> bool:
    """Return True if some router speaks TLS."""
    return any(router.secured for router in configuration.routers)


def _of_workers(configuration: Configuration, environ: Mapping[str, str]) -> list[str]:
    """Return a line for each limit that can't be shared out among workers."""
    from uwsgi_router.router.app.feeding.roles import too_few  # noqa: PLC0415 - see above
    from uwsgi_router.router.app.prepare.applications import unshared_cores  # noqa: PLC0415
    from uwsgi_router.router.app.process.cores import with_cores  # noqa: PLC0415

    cores = unshared_cores(configuration, configuration.applications, environ)
    return [*too_few(with_cores(configuration).routers), *cores]


def _of_code(configuration: Configuration, who: ProcessIdentity | None) -> list[str]:
    """Return a line for each function that can't be had; code is loaded only as somebody."""
    if all(router.use_code_string is None for router in configuration.routers):
        return []
    from uwsgi_router.router.app.prepare.code import code_problems  # noqa: PLC0415
    from uwsgi_router.router.app.prepare.code_load import load_problems  # noqa: PLC0415

    found = code_problems(configuration)
    return found or ([] if who is None else [*load_problems(configuration, who)])


def _refusal(step: Callable[[], object]) -> list[str]:
    """Take a step of the start; return why it is refused, if it is."""
    try:
        step()
    except (StartError, SniError) as error:
        return [str(error)]
    return []


def _of_announces(configuration: Configuration) -> list[str]:
    """Return a line for each directory of keys, or of certificates, that can't be used."""
    subscription, chdir = configuration.subscription, configuration.process.chdir
    found = _refusal(lambda: SniFiles(subscription.sni_allow_dirs))
    check = subscription.sign_check
    # Below a directory that is entered later nothing can be tried yet.
    if check is not None and (chdir is None or os.path.isabs(check.directory)):
        from uwsgi_router.router.table.gate import build_gate  # noqa: PLC0415
        from uwsgi_router.subscriptions.gate import never_own  # noqa: PLC0415

        found += _refusal(lambda: build_gate(subscription, never_own))
    found += [
        f"subscriptions-credentials-check = {directory}: there is no such directory"
        for directory in subscription.credentials_dirs
        if not os.path.isdir(os.path.join(chdir or "", directory))
    ]
    return found
