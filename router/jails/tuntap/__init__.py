"""tuntap router: IP packets between a TUN device and vassals that are connected to a socket."""
