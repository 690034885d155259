"""systemd units in the pages: systemd ignores a key that it does not know, so a typo would go unseen."""

import re

_UNIT = {"Description", "After", "Requires", "Wants", "Documentation"}
_INSTALL = {"WantedBy"}
_SOCKET = {"ListenStream", "ListenDatagram", "SocketMode", "SocketUser", "SocketGroup", "Backlog"}
_SERVICE = {
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "LockPersonality",
    "PrivateDevices",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "RemoveIPC",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "UMask",
    "WatchdogSec",
    "ExecStart",
    "ExecReload",
    "ExecStartPre",
    "Group",
    "KillMode",
    "LimitNOFILE",
    "NoNewPrivileges",
    "PrivateTmp",
    "ProtectHome",
    "ProtectSystem",
    "Restart",
    "RuntimeDirectory",
    "StateDirectory",
    "SuccessExitStatus",
    "TimeoutStopSec",
    "Type",
    "User",
}
_KEYS = {"Unit": _UNIT, "Install": _INSTALL, "Socket": _SOCKET, "Service": _SERVICE}


def check_unit(text: str) -> list[str]:
    """Return the command lines that start something of ours.

    Raises:
        AssertionError: for a section or a key that systemd does not have (or nobody has looked up yet).
    """
    section = ""
    starts: list[str] = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            section = heading[1]
            assert section in _KEYS, line
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        assert key in _KEYS[section], line
        if key == "ExecStart":
            assert value.split()[0].endswith(("/uwsgi-router", "/uwsgi-subscribe")), line
            starts.append(value)
    return starts
