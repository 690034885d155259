"""The running program: sockets, assembly of routers, gateways, privileges, signals."""
