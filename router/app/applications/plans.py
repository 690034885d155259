"""Plans of applications, made of their configuration."""

import os
from collections.abc import Mapping, Sequence
from typing import Final

from uwsgi_router.router.config.app import AppConfig
from uwsgi_router.subscriptions.application.plan import AppPlan, CopyPolicy
from uwsgi_router.subscriptions.client.cores import cores_of
from uwsgi_router.subscriptions.client.readiness import host_of

# Rounds of starts that may fail before the first copy has served, then a single application gives up.
_ROUNDS: Final = 3


def key_of(config: AppConfig) -> str:
    """Return the key of an application without hosts: its name; the router gives it all requests of no other one."""
    return config.name


def plan_of(config: AppConfig, environ: Mapping[str, str], *, alone: bool) -> AppPlan:
    """Return the plan of an application.

    Args:
        config: its configuration.
        environ: ours.
        alone: nothing else is served: if it can't be started, the program ends.
    """
    env = dict(config.env)
    cores = cores_of_copy(config, environ)
    if config.request_timeout and not config.stacks_signal:
        env.setdefault("PYTHONFAULTHANDLER", "1")
    host = config.health_host or (host_of(config.hosts[0]) if config.hosts else "localhost")
    return AppPlan(
        name=config.name,
        command=config.command,
        keys=config.hosts or (key_of(config),),
        policy=policy_of(config, alone=alone),
        proto=config.proto,
        health=config.health,
        health_host=host,
        warm_up=config.warm_up,
        cores=cores,
        weight=config.weight,
        env=env,
        cwd=config.cwd or working_directory(environ),
        user=config.uid,
        group=config.gid,
        stuck_after=config.request_timeout,
        stacks=config.stacks_signal,
    )


def cores_of_copy(config: AppConfig, environ: Mapping[str, str]) -> int:
    """Return how many requests a copy works on at once; 0: nobody says so. Parameters as of :func:`plan_of`."""
    if config.cores is not None:
        return config.cores
    return cores_of(config.command, {**environ, **dict(config.env)})


def policy_of(config: AppConfig, *, alone: bool) -> CopyPolicy:
    """Return the policy of an application's copies; parameters as of :func:`plan_of`."""
    attempts = _ROUNDS * config.replicas if alone and not config.reload else 0
    return CopyPolicy(
        replicas=config.replicas,
        surge=config.surge,
        start_timeout=config.start_timeout,
        drain=config.drain,
        drain_streams=config.drain_streams,
        mercy=config.mercy,
        check_every=config.health_interval,
        max_requests=config.max_requests,
        max_rss=config.max_rss,
        max_age=config.max_age,
        attempts=attempts,
    )


def working_directory(environ: Mapping[str, str]) -> str | None:
    """Return our directory by the name under which it was entered: a link of it may point to another release soon."""
    name = environ.get("PWD")
    try:
        if name and os.path.isabs(name) and os.path.samefile(name, os.curdir):
            return name
    except OSError:
        pass
    return None


def hosts_of(configs: Sequence[AppConfig]) -> tuple[list[str], str | None]:
    """Return all keys that applications serve, and the one that has the requests of no other one."""
    keys = list(dict.fromkeys(key for one in configs for key in one.hosts or (key_of(one),)))
    rest = next((key_of(config) for config in configs if not config.hosts), None)
    return keys, rest
