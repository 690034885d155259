"""Configured nodes of a router by names that each process of it, and the next configuration, has for them."""

from collections.abc import Iterator

from uwsgi_router.router.app.gateway import Gateway
from uwsgi_router.router.routing.configured import ConfiguredForwarder, UnannouncedNode


class NamedNodes:
    """Names of the configured nodes of a gateway.

    Attributes:
        nodes: by name: the option, the node, and which of several that are alike.
        forwarders: of those that an operator may steer, by the same names.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.nodes: dict[str, UnannouncedNode] = {}
        self.forwarders: dict[str, ConfiguredForwarder] = {}
        for group in gateway.configured:
            for node in group.forwarder.steered():
                name = self._name(group.option, node)
                self.nodes[name] = node
                self.forwarders[name] = group.forwarder
        for node in gateway.static_nodes or ():
            if node not in self.nodes.values():
                self.nodes[self._name("to", node)] = node

    def _name(self, option: str, node: UnannouncedNode) -> str:
        place = 0
        while (name := f"{option} {node.name} {place}") in self.nodes:
            place += 1
        return name

    def steered(self) -> Iterator[tuple[str, UnannouncedNode, ConfiguredForwarder]]:
        """Yield name, node and forwarder of those that an operator may steer."""
        for name, forwarder in self.forwarders.items():
            yield name, self.nodes[name], forwarder
