"""What uWSGI does and this version does not: accepted with a warning, or refused where going on would be unsafe.

Refused is whatever decides who may be trusted, what can be reached, or what else is expected to run: an operator
who asked for it must not find out later. In the lists ``!`` marks options without an argument, ``?`` those where
it is optional, ``/x`` a letter.
"""

from uwsgi_router.router.config.option import Standing
from uwsgi_router.router.config.topic import Topic

TOPICS: tuple[Topic, ...] = (
    Topic(
        title="the HTTPS router",
        standing=Standing.NOT_YET,
        refused=True,
        reason=(
            "this version does not speak TLS, so nothing would listen there: put what does in front of "
            "http = ADDRESS, or leave https to a uWSGI of its own"
        ),
        names="""
            https https2 https-export-cert! https-session-context http-session-context
        """,
    ),
    Topic(
        title="the raw and SSL routers",
        standing=Standing.NOT_YET,
        refused=True,
        reason="this version has only the fastrouter and the HTTP router, so nothing would listen there",
        names="""
            rawrouter rawrouter-processes rawrouter-workers rawrouter-zerg rawrouter-use-cache?
            rawrouter-use-pattern rawrouter-use-base rawrouter-fallback rawrouter-use-code-string
            rawrouter-use-socket? rawrouter-to rawrouter-gracetime rawrouter-events
            rawrouter-max-retries rawrouter-quiet rawrouter-cheap! rawrouter-subscription-server
            rawrouter-subscription-slot rawrouter-timeout rawrouter-stats rawrouter-stats-server
            rawrouter-ss rawrouter-harakiri rawrouter-xclient! rawrouter-buffer-size sslrouter
            sslrouter2 sslrouter-session-context sslrouter-processes sslrouter-workers
            sslrouter-zerg sslrouter-use-cache? sslrouter-use-pattern sslrouter-use-base
            sslrouter-fallback sslrouter-use-code-string sslrouter-use-socket? sslrouter-to
            sslrouter-gracetime sslrouter-events sslrouter-max-retries sslrouter-quiet
            sslrouter-cheap! sslrouter-subscription-server sslrouter-timeout sslrouter-stats
            sslrouter-stats-server sslrouter-ss sslrouter-harakiri sslrouter-sni!
            sslrouter-buffer-size
        """,
    ),
    Topic(
        title="the forkpty and tuntap routers",
        standing=Standing.NOT_YET,
        refused=True,
        reason="this version has only the fastrouter and the HTTP router",
        names="""
            forkptyrouter forkpty-router forkptyurouter forkpty-urouter forkptyrouter-command
            forkpty-router-command forkptyrouter-cmd forkpty-router-cmd forkptyrouter-rows
            forkptyrouter-cols forkptyrouter-processes forkptyrouter-workers forkptyrouter-zerg
            forkptyrouter-fallback forkptyrouter-events forkptyrouter-cheap! forkptyrouter-timeout
            forkptyrouter-stats forkptyrouter-stats-server forkptyrouter-ss forkptyrouter-harakiri
            tuntap-router tuntap-device tuntap-use-credentials? tuntap-router-firewall-in
            tuntap-router-firewall-out tuntap-router-route tuntap-router-stats tuntap-device-rule
        """,
    ),
    Topic(
        title="announces of vassals only",
        standing=Standing.NOT_YET,
        refused=True,
        reason=(
            "this version does not ask for a vassal's name, and taking announces without one would let in whom you"
            " wanted to keep out: subscriptions-tenant says which users may announce what"
        ),
        names="""
            subscription-vassal-required!
        """,
    ),
    Topic(
        title="announcing this instance elsewhere",
        standing=Standing.NOT_YET,
        refused=True,
        reason="this version announces nothing, so it would not be found",
        names="""
            subscribe-to st subscribe subscribe2
        """,
    ),
    Topic(
        title="how this instance announces itself",
        standing=Standing.NOT_YET,
        reason="nothing is announced",
        names="""
            weight auto-weight notify-socket subscription-notify-socket subscribe-freq
            unsubscribe-on-graceful-reload! start-unsubscribed! subscribe-with-modifier1
            subscription-clear-on-shutdown!
        """,
    ),
    Topic(
        title="nodes without an address",
        standing=Standing.NOT_YET,
        reason="an announce needs an address",
        names="""
            subscription-tolerance-inactive
        """,
    ),
    Topic(
        title="sockets of a zerg server",
        standing=Standing.NOT_YET,
        refused=True,
        reason=(
            "this version neither takes nor gives sockets this way: use shared sockets of "
            "systemd, or reuse-port"
        ),
        names="""
            zerg zerg-fallback! zerg-server zergpool zerg-pool
        """,
    ),
    Topic(
        title="being a vassal",
        standing=Standing.NOT_YET,
        reason="nothing is told to the Emperor",
        names="""
            vassal-sos vassal-sos-backlog heartbeat
        """,
    ),
    Topic(
        title="the Emperor",
        standing=Standing.NOT_YET,
        refused=True,
        reason="this version starts no vassals",
        names="""
            emperor emperor-proxy-socket emperor-wrapper emperor-wrapper-override
            emperor-wrapper-fallback emperor-nofollow! emperor-procname emperor-freq
            emperor-required-heartbeat emperor-curse-tolerance emperor-pidfile emperor-tyrant!
            emperor-tyrant-nofollow! emperor-stats emperor-stats-server early-emperor!
            emperor-broodlord emperor-throttle emperor-max-throttle emperor-magic-exec!
            emperor-on-demand-extension emperor-on-demand-ext emperor-on-demand-directory
            emperor-on-demand-dir emperor-on-demand-exec emperor-extra-extension emperor-extra-ext
            emperor-no-blacklist! emperor-use-clone emperor-graceful-shutdown!
            imperial-monitor-list! imperial-monitors-list! vassals-inherit vassals-include
            vassals-inherit-before vassals-include-before vassals-start-hook vassals-stop-hook
            vassals-set vassal-set emperor-command-socket emperor-wait-for-command!
            emperor-wait-for-command-ignore emperor-subreaper! emperor-cap
        """,
    ),
    Topic(
        title="caches on disk",
        standing=Standing.NOT_YET,
        reason="caches are kept in memory only, and filled anew after a restart",
        names="cache-store cache-store-sync",
    ),
    Topic(
        title="caches shared with others",
        standing=Standing.NOT_YET,
        refused=True,
        reason="this version copies no cache: let a router's use-cache = NAME@ADDRESS read the other server's",
        names="cache-udp-server cache-udp-node cache-sync",
    ),
    Topic(
        title="caches of answers",
        standing=Standing.NOT_YET,
        refused=True,
        reason="here caches name nodes, they hold no answers (nor compressed files)",
        names="check-cache? load-file-in-cache-gzip",
    ),
    Topic(
        title="clusters of instances",
        standing=Standing.NOT_YET,
        refused=True,
        reason="this version takes part in none",
        names="""
            multicast multicast-ttl multicast-loop legion legion-mcast legion-node legion-freq
            legion-tolerance legion-death-on-lord-error legion-skew-tolerance legion-lord
            legion-unlord legion-setup legion-death legion-join legion-node-joined legion-node-left
            legion-quorum legion-scroll legion-scroll-max-size legion-scroll-list-max-size
            legion-cron unique-legion-cron unique-cron-legion legion-attach-daemon
            legion-smart-attach-daemon legion-smart-attach-daemon2
        """,
    ),
    Topic(
        title="programs and code to be run",
        standing=Standing.NOT_YET,
        refused=True,
        reason="this version starts no other programs: use systemd units for them",
        names="""
            hook-asap hook-pre-jail hook-post-jail hook-in-jail hook-as-root hook-as-user
            hook-as-user-atexit hook-pre-app hook-post-app hook-post-fork hook-accepting
            hook-accepting1 hook-accepting-once hook-accepting1-once hook-master-start hook-touch
            hook-emperor-start hook-emperor-stop hook-emperor-reload hook-emperor-lost
            hook-as-vassal hook-as-emperor hook-as-mule hook-as-gateway exec-asap exec-pre-jail
            exec-post-jail exec-in-jail exec-as-root exec-as-user exec-as-user-atexit exec-pre-app
            exec-post-app exec-as-vassal exec-as-emperor call-asap call-pre-jail call-post-jail
            call-in-jail call-as-root call-as-user call-as-user-atexit call-pre-app call-post-app
            call-as-vassal call-as-vassal1 call-as-vassal3 call-as-emperor call-as-emperor1
            call-as-emperor2 call-as-emperor4 privileged-binary-patch unprivileged-binary-patch
            privileged-binary-patch-arg unprivileged-binary-patch-arg cron cron2 unique-cron
            cron-harakiri cron-legion attach-daemon attach-control-daemon smart-attach-daemon
            smart-attach-daemon2 daemons-honour-stdin! attach-daemon2
        """,
    ),
    Topic(
        title="confining the process",
        standing=Standing.NOT_YET,
        refused=True,
        reason=(
            "the process would run unconfined: use the settings of its systemd unit "
            "(RootDirectory=, PrivateNetwork=, Slice=, …)"
        ),
        names="""
            chroot pivot-root pivot_root unshare unshare2 setns-socket setns-socket-skip setns-skip
            setns setns-preopen! jailed! mount-asap mount-pre-jail mount-post-jail mount-in-jail
            mount-as-root mount-as-vassal mount-as-emperor umount-asap umount-pre-jail
            umount-post-jail umount-in-jail umount-as-root umount-as-vassal umount-as-emperor cgroup
            cgroup-opt cgroup-dir-mode namespace namespace-keep-mount ns namespace-net ns-net cap
        """,
    ),
    Topic(
        title="dropping privileges before anything is opened",
        standing=Standing.NOT_YET,
        refused=True,
        reason="sockets and files are opened first here: write uid and gid",
        names="""
            immediate-uid immediate-gid
        """,
    ),
    Topic(
        title="going to the background",
        standing=Standing.NOT_YET,
        refused=True,
        reason="run it under systemd, or with a shell's & (logto writes the log file)",
        names="""
            daemonize/d daemonize2
        """,
    ),
    Topic(
        title="sockets in the abstract name space",
        standing=Standing.NOT_YET,
        refused=True,
        reason="write the names with @ in front",
        names="""
            abstract-socket!/a
        """,
    ),
    Topic(
        title="commands to a running instance",
        standing=Standing.NOT_YET,
        refused=True,
        reason="send the signal to the process id in its pidfile (TERM stops it)",
        names="""
            stop reload pause suspend resume
        """,
    ),
    Topic(
        title="tools and lists of uWSGI's own binary",
        standing=Standing.NOT_YET,
        refused=True,
        reason="see uwsgi-router --help for its commands",
        names="""
            get connect-and-read extract help!/h usage! print-sym print-symbol no-server!
            command-mode! logger-list! loggers-list! alarm-list! alarms-list! router-list!
            routers-list! clock-list! clocks-list! loop-list! loops-list! plugins-list! plugin-list!
            dump-options! show-config! binary-append-data cflags! dot-h! config-py! build-plugin
            version! ping ping-timeout nagios!
        """,
    ),
    Topic(
        title="other forms of configuration",
        standing=Standing.NOT_YET,
        refused=True,
        reason="write it as an ini file",
        names="""
            xmlconfig/x xml config fallback-config inject-before inject-after yaml/y yml json js
            sqlite sqlite3 ldap ldap-schema! ldap-schema-ldif! lua-config
        """,
    ),
    Topic(
        title="more configuration language",
        standing=Standing.NOT_YET,
        refused=True,
        reason="leave it out",
        names="""
            declare-option declare-option2 resolve blacklist end-blacklist! whitelist end-whitelist!
        """,
    ),
    Topic(
        title="reloading when something changes",
        standing=Standing.NOT_YET,
        reason="nothing is reloaded: restart the process",
        names="""
            touch-reload touch-workers-reload touch-mules-reload touch-spoolers-reload
            touch-chain-reload touch-logrotate touch-logreopen touch-exec touch-signal fs-reload
            fs-brutal-reload fs-signal check-mountpoint mountpoint-check check-mount mount-check
        """,
    ),
    Topic(
        title="statistics and metrics of the instance",
        standing=Standing.NOT_YET,
        reason=(
            "nothing is served or sent for it: fastrouter-stats and http-stats serve JSON and, "
            "over HTTP, /metrics"
        ),
        names="""
            enable-metrics! metric metric-threshold metric-alarm alarm-metric metrics-dir
            metrics-dir-restore! metric-dir metric-dir-restore! metrics-no-cores! stats stats-server
            stats-push stats-pusher-default-freq stats-pushers-default-freq snmp? snmp-community
            rrdtool rrdtool-freq rrdtool-lib carbon carbon-timeout carbon-freq carbon-id
            carbon-no-workers! carbon-max-retry carbon-retry-delay carbon-root carbon-hostname-dots
            carbon-name-resolve! carbon-resolve-names! carbon-idle-avg carbon-use-metrics!
        """,
    ),
    Topic(
        title="other destinations of the log",
        standing=Standing.NOT_YET,
        reason="the log goes to standard error, or to the file of logto",
        names="""
            logfile-chown! logfile-chmod log-syslog? log-socket logger log-encoder log-drain
            log-filter log-alarm not-log-alarm not-alarm-log log-reopen! log-truncate! log-maxsize
            log-backupname rsyslog-packet-size rsyslog-split-messages!
        """,
    ),
    Topic(
        title="alarms",
        standing=Standing.NOT_YET,
        reason="no alarm is raised",
        names="""
            alarm alarm-cheap alarm-freq alarm-fd alarm-segfault segfault-alarm alarm-backlog
            backlog-alarm lq-alarm alarm-lq alarm-listen-queue listen-queue-alarm alarm-log
            alarm-msg-size
        """,
    ),
    Topic(
        title="commands over a fifo",
        standing=Standing.NOT_YET,
        reason="no fifo is made: use signals",
        names="""
            master-fifo
        """,
    ),
    Topic(
        title="limits and priorities of the process",
        standing=Standing.NOT_YET,
        reason="nothing is limited: use the settings of its systemd unit",
        names="""
            limit-as limit-nproc never-swap! prio
        """,
    ),
    Topic(
        title="waiting and writing at start",
        standing=Standing.NOT_YET,
        reason="the start neither waits for anything nor locks or writes files",
        names="""
            flock flock-wait flock2 flock-wait2 wait-for-interface wait-for-interface-timeout
            wait-interface wait-interface-timeout wait-for-iface wait-for-iface-timeout wait-iface
            wait-iface-timeout wait-for-fs wait-for-file wait-for-dir wait-for-mountpoint
            wait-for-fs-timeout wait-for-socket wait-for-socket-timeout file-write
        """,
    ),
    Topic(
        title="more socket settings",
        standing=Standing.NOT_YET,
        reason="sockets keep the kernel's defaults",
        names="""
            tcp-nodelay! so-send-timeout! socket-send-timeout! so-write-timeout!
            socket-write-timeout! tcp-fast-open tcp-fastopen tcp-fast-open-client!
            tcp-fastopen-client!
        """,
    ),
    Topic(
        title="TLS",
        standing=Standing.NOT_YET,
        reason="nothing here speaks TLS",
        names="""
            ssl-verbose! ssl-verify-depth? sni sni-dir sni-dir-ciphers ssl-enable3!
            ssl-enable-sslv3! ssl-enable-tlsv1! ssl-option! sni-regexp ssl-tmp-dir
        """,
    ),
    Topic(
        title="directories and environment",
        standing=Standing.NOT_YET,
        reason="chdir and env are what works",
        names="""
            force-cwd binsh chdir2 envdir early-envdir unenv
        """,
    ),
    Topic(
        title="names of the process",
        standing=Standing.NOT_YET,
        reason="procname and procname-prefix are what works",
        names="""
            auto-procname! procname-append
        """,
    ),
)
