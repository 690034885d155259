"""WebSocket frames, checked as they pass through a tunnel."""
