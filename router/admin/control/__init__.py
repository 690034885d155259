"""The control socket: see, drain and weigh announced nodes."""
