"""Reader of capabilities, by uWSGI's names (uWSGI: core/utils.c; linux/capability.h)."""

from typing import Final

from uwsgi_router.router.config.values import Kind

#: Names in the order of their numbers.
CAPABILITIES: Final = (
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
)


def read_capabilities(text: str) -> tuple[str, ...]:
    """Read names of capabilities, separated by commas.

    Raises:
        ValueError: with what was expected.
    """
    found = [word.lower().removeprefix("cap_") for word in map(str.strip, text.split(","))]
    for word in found:
        if word not in CAPABILITIES:
            raise ValueError(f"expected capabilities, for example setgid,setuid, not {word}")
    return tuple(dict.fromkeys(found))


CAPABILITIES_KIND: Final = Kind("CAPABILITY,…", read_capabilities)
