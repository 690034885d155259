"""Admission control of a table, made from its configuration."""

import os
from collections.abc import Callable

from uwsgi_router.protocol.address import Address
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import SubscriptionConfig
from uwsgi_router.subscriptions.gate import Gate
from uwsgi_router.subscriptions.signature import SignatureError, Signatures


def build_gate(config: SubscriptionConfig, is_own: Callable[[Address], bool]) -> Gate:
    """Make the gate that decides who may announce which node.

    Args:
        config: checked already: it checks something.
        is_own: tells the router's own addresses.

    Raises:
        StartError: signatures can't be checked here.
    """
    signatures = None
    if config.sign_check is not None:
        try:
            signatures = Signatures(
                config.sign_check,
                config.sign_tolerance or 86_400.0,
                signs_command=config.sign_command,
            )
        except SignatureError as exc:
            raise StartError(str(exc)) from exc
    return Gate(
        rate=config.max_rate,
        allow_from=config.allow_from,
        is_own=is_own,
        own_address=config.own_address,
        use_credentials=config.use_credentials,
        credentials_dirs=[os.fsencode(directory) for directory in config.credentials_dirs],
        tenants=config.tenants,
        signatures=signatures,
        sign_skip_uids=config.sign_skip_uids,
    )
