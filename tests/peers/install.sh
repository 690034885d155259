#!/bin/sh
# Gets the real programs that the tests run against: Debian's nginx, HAProxy, Redis, PostgreSQL, shells, curl, h2load,
# Chromium, certbot and an authority for it, and PyPI's uWSGI, built with TLS into .peers/venv.
#
#   install.sh --with-debian-packages   as root, installs the Debian packages that are missing; fails if a peer can't be had
#   install.sh --if-possible            builds uWSGI if a compiler is there, installs no package, never fails: the tests
#                                       that need a missing peer are skipped and say so
#   install.sh --for-bench              as root, installs what is missing, with wrk, h2load and Python's venv;
#                                       never fails: `make bench` says what it leaves out; uWSGI gets BENCH_PYTHON's headers,
#                                       not those of .venv's Python
set -eu
cd "$(dirname "$0")/../.."

UWSGI_VERSION=2.0.31
PACKAGES="nginx haproxy build-essential python3-dev libssl-dev libpcre2-dev zsh fish groff curl openssl certbot pebble chromium nghttp2-client
    systemd redis-server redis-tools postgresql postgresql-contrib socat iproute2 iputils-ping procps"
PYTHON=.venv/bin/python

case "${1-}" in
    --with-debian-packages) strict=yes; install=yes ;;
    --if-possible) strict=no; install=no ;;
    --for-bench) strict=no; install=yes; PACKAGES="$PACKAGES wrk python3-venv"
        PYTHON=${BENCH_PYTHON:-python3} ;;
    *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

say() { echo "peers: $*"; }

give_up() {
    say "$*"
    [ "$strict" = yes ] && exit 1
    exit 0
}

is_installed() { dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# apt starts a service right after it installed it. A policy-rc.d that says no prevents that; where the machine has a
# policy of its own, it stays, and what was started in spite of it is stopped. Only what this script has installed is ever
# touched: a server that was there before is the user's.
install_packages() {
    missing=
    for package in $PACKAGES; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || { say "not a Debian system; install yourself:$missing"; return 0; }
    [ "$(id -u)" = 0 ] || { say "not root; install yourself:$missing"; return 0; }
    say "installing Debian packages:$missing"
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        policy=
    else
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    apt-get update -qq && apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 $missing </dev/null \
        || { say "apt could not install:$missing"; [ "$strict" = no ] || exit 1; }
    [ -z "$policy" ] || rm -f "$policy"
    trap - EXIT INT TERM
    for server in nginx haproxy redis-server postgresql; do
        is_installed "$server" || continue
        case "$missing " in *" $server "*)
            [ ! -e "/run/$server.pid" ] || service "$server" stop
            [ ! -d /run/systemd/system ] || systemctl disable --quiet --now "$server"
        esac
    done
}

has_tls() { "$1" --cflags 2>/dev/null | grep -q -- -DUWSGI_SSL; }

build_uwsgi() {
    uwsgi=.peers/venv/bin/uwsgi
    if [ -x "$uwsgi" ] && [ "$("$uwsgi" --version 2>/dev/null)" = "$UWSGI_VERSION" ] && has_tls "$uwsgi"; then
        return 0
    fi
    command -v cc >/dev/null || give_up "no C compiler: uWSGI can't be built (make peers, as root, installs one)"
    "$PYTHON" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
        || give_up "no Python headers: uWSGI can't be built (make peers, as root, installs them)"
    say "building uWSGI $UWSGI_VERSION; takes a minute, once (log: .peers/build.log)"
    rm -rf .peers/venv
    mkdir -p .peers
    "$PYTHON" -m venv .peers/venv
    # No wheel from pip's cache: an earlier build of somebody else's may be without TLS.
    UWSGI_PROFILE_OVERRIDE="ssl=true" .peers/venv/bin/python -m pip install --disable-pip-version-check \
        --no-cache-dir --no-binary uwsgi "uwsgi==$UWSGI_VERSION" >.peers/build.log 2>&1 \
        || { tail -n 20 .peers/build.log; give_up "uWSGI could not be built"; }
    has_tls "$uwsgi" || { rm -rf .peers/venv; give_up "uWSGI came out without TLS: libssl-dev is missing"; }
}

# The routers for jails and their clients, which PyPI's build leaves out.
build_plugins() {
    plugins=.peers/plugins
    [ ! -e "$plugins/tuntap_plugin.so" ] || return 0
    say "building uWSGI's plugins (log: .peers/build.log)"
    rm -rf .peers/sdist
    mkdir -p "$plugins" .peers/sdist
    .peers/venv/bin/python -m pip download --disable-pip-version-check --no-deps --no-binary uwsgi \
        --dest .peers/sdist "uwsgi==$UWSGI_VERSION" >>.peers/build.log 2>&1 \
        || give_up "uWSGI's sources could not be had"
    tar -xf .peers/sdist/*.tar.gz -C .peers/sdist
    uwsgi=$PWD/.peers/venv/bin/uwsgi
    for plugin in forkptyrouter pty tuntap; do
        (cd .peers/sdist/*/ && "$uwsgi" --build-plugin "plugins/$plugin") >>.peers/build.log 2>&1 \
            || give_up "uWSGI's plugin $plugin could not be built"
        mv .peers/sdist/*/"${plugin}_plugin.so" "$plugins/"
    done
    rm -rf .peers/sdist
}

[ "$install" = no ] || install_packages
build_uwsgi
build_plugins
PATH=$PATH:/usr/sbin
for program in nginx haproxy redis-server pgbench socat; do
    command -v $program >/dev/null || give_up "no $program (make peers, as root, installs it)"
done
