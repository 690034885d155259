"""WebSocket tunnels whose frames are checked (``http-websocket-check``)."""
