"""A value for every option, which is not its default."""

from uwsgi_router.router.config.option import Option

# A value for each kind, none of them a default.
SAMPLES = {
    "": "true",
    "[true|false]": "off",
    "TEXT": "text",
    "FILE": "/a/file",
    "[FILE]": "/a/file",
    "DIRECTORY": "/a/directory",
    "KEY": "example.com",
    "PATH": "/a/socket",
    "MODE": "640",
    "[MODE]": "640",
    "N": "7",
    "N|auto": "3",
    "PATH:ADDRESS,…": "/run/pool:127.0.0.1:4000",
    "BYTES": "2048",
    "[BYTES]": "2048",
    "SECONDS": "2.5",
    "[SECONDS]": "2.5",
    "ADDRESS": "127.0.0.1:4000",
    "[N|ADDRESS]": "127.0.0.1:4000",
    "ADDRESS[,PORT]": "127.0.0.1:4000,4443",
    "PATTERN": "/run/%s.sock",
    "PREFIX": "/run/",
    "0:FILE:FUNCTION": "0:/a/mapper.py:choose",
    "USER": "root",
    "GROUP": "root",
    "USER[:GROUP]": "root:root",
    "NAME=VALUE": "A=b",
    "NETWORK": "10.0.0.0/8",
    "NETWORK,…": "10.0.0.0/8,unix",
    "[NETWORK,…]": "10.0.0.0/8,unix",
    "STATUS:FILE": "502:/a/page",
    "[NAME[@ADDRESS]]": "nodes",
    "name=NAME,items=N,…": "name=nodes,items=5",
    "[CACHE ]KEY=VALUE": "nodes a=127.0.0.1:1",
    "[CACHE ]PATH": "nodes /a/file",
    "DIGEST:DIRECTORY": "SHA256:/a/directory",
    "uid=USER,keys=PATTERN,…": "uid=1000,keys=*.example",
    "ping,/PATH,…": "ping,interval=3",
    "auto|uvloop|asyncio": "asyncio",
    "wrr|lrc|wlrc|iphash|least": "lrc",
    "wrr|least": "least",
    "PERCENT": "35",
    "text|json": "json",
    "1|2": "2",
    "CRT,KEY": "/a/crt,/a/key",
    "DEVICE SOCKET [STATS] [GATEWAY]": "emp0 /run/tun.sock 127.0.0.1:5001 127.0.0.1:5000",
    "DEVICE [SOCKET]": "uwsgi0 /run/tun.sock",
    "allow|deny [SRC DST]": "deny 10.0.0.0/8 10.0.0.1",
    "SRC DST ADDRESS:PORT": "10.0.0.0/8 0.0.0.0 192.0.2.1:4040",
    "ADDRESS,CRT,KEY[,CIPHERS[,CA]]": "127.0.0.1:4443,/a/crt,/a/key",
    "addr=…,cert=…,key=…": "addr=127.0.0.1:4443,cert=/a/crt,key=/a/key",
    "NAME CRT,KEY[,CIPHERS[,CA]]": "www.example.com /a/crt,/a/key",
    "REGEXP CRT,KEY[,CIPHERS[,CA]]": "[.]example[.]com$ /a/crt,/a/key",
    "1.2|1.3": "1.3",
    "400|redirect": "redirect",
    "HEADER": "Client-Cert",
    "PLACE": "/a/directory",
    "MS": "17",
    "SUFFIX": ".conf",
    "NAMESPACE,…": "pid,fs",
    "CAPABILITY,…": "setgid,setuid",
    "ACTION:ARGS": "exec:true",
    "TYPE SOURCE TARGET [FLAGS [DATA]]": "tmpfs none /a/directory nosuid size=1m",
    "TARGET [FLAGS]": "/a/directory detach",
    "COMMAND": "true",
    "PROGRAM": "/a/program",
    "in|out SRC DST ACTION [TARGET]": "out 10.0.0.0/8 10.1.0.0/16 gateway 192.0.2.1:4040",
}


def sample(option: Option) -> str:
    if option.name == "subscriptions-sign-skip-uid":
        return "1000"
    if option.kind.shown == "[true|false]":
        return "off" if option.name == "log-date" else "true"
    if option.name == "tuntap-use-credentials":
        return "true"
    if option.kind.shown == "close|http":
        return "close" if option.part == "http" else "http"
    return SAMPLES[option.kind.shown]
