"""The Autobahn WebSocket suite against an echo server, directly and through the router."""
