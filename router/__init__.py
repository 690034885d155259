"""Router: configuration, sockets, proxy, forwarders, statistics, command."""
