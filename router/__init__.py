"""The router: configuration, sockets, proxy engine, forwarders, statistics, command."""
