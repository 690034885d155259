"""Which of the options that work here uWSGI 2.0.31 does not know: for the options page."""

_UNRELEASED = """
    fastrouter-force-key fastrouter-max-retries fastrouter-emperor-socket fastrouter-defer-connect-timeout
    http-backend-http http-post-buffering http-post-buffering-dir subscription-mountpoints subscription-mountpoint
"""
_OURS = """
    fastrouter-code-limit fastrouter-code-timeout fastrouter-code-reload fastrouter-keep-modifiers
    fastrouter-connect-timeout fastrouter-backend-http fastrouter-backend-connections fastrouter-backend-keepalive
    fastrouter-backend-queue fastrouter-backend-queue-timeout fastrouter-hold fastrouter-hold-max
    fastrouter-hold-max-bytes fastrouter-abort-on-eof fastrouter-errors

    http-trusted-proxy http-max-head http-max-fields http-body-limit http-body-rate http-code-limit http-code-timeout
    http-code-reload http-fallback-on-no-key http-max-retries http-backend-connections http-backend-keepalive
    http-backend-queue http-backend-queue-timeout http-hold http-hold-max http-hold-max-bytes http-websocket-timeout
    http-websocket-check http-websocket-max-frame http-websocket-max-message http-abort-on-eof
    http-response-buffering http-errors http-error-page http-access-log http-access-log-format

    cache-socket cache-socket-public control-socket chmod-control-socket chown-control-socket event-loop sni-allow-dir
    subscription-check subscription-chmod-socket subscription-max-fails subscription-max-keys subscription-max-nodes
    subscription-max-rate subscription-state subscription-tee subscriptions-allow-from subscriptions-own-address
    subscriptions-tenant
"""

UNRELEASED = frozenset(_UNRELEASED.split())
"""Those that uWSGI's unreleased version has."""

OURS = frozenset(_OURS.split())
"""Those that uwsgi-router adds."""
