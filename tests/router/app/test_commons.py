"""What instances of one program share, and may not."""

import pytest

from uwsgi_router.router.app.assembly import AssembledRouter
from uwsgi_router.router.app.commons import Commons
from uwsgi_router.router.config.errors import StartError
from uwsgi_router.router.config.model import (
    HttpRouterConfig,
    ProcessConfig,
    RouterConfig,
    SubscriptionConfig,
)
from uwsgi_router.router.net.activation import Inherited
from uwsgi_router.router.proxy.context import Timing

SERVERS = ("127.0.0.1:0",)


def test_routers_with_the_same_nodes_believe_the_same() -> None:
    commons = Commons(SubscriptionConfig(), Timing())
    first = HttpRouterConfig(subscription_servers=SERVERS, backend_insecure=True)
    second = RouterConfig(subscription_servers=SERVERS)
    members = [object(), object()]
    commons.join(members[0], [AssembledRouter(first, Timing())], ProcessConfig(), Inherited())
    with pytest.raises(StartError, match="fastrouter-backend-ca"):
        commons.join(members[1], [AssembledRouter(second, Timing())], ProcessConfig(), Inherited())
    commons.release(members[0])
    commons.join(members[1], [AssembledRouter(second, Timing())], ProcessConfig(), Inherited())
    commons.release(members[1])
