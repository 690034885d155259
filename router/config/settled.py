"""What is accepted silently: it is always so here, or there is nothing here for it to act on.

In the lists ``!`` marks options without an argument, ``?`` those where it is optional, ``/x`` a letter.
"""

from uwsgi_router.router.config.option import Standing
from uwsgi_router.router.config.topic import Topic

TOPICS: tuple[Topic, ...] = (
    Topic(
        title="always so here",
        standing=Standing.BY_DESIGN,
        reason="it is so anyway, or nothing here depends on it",
        names="""
            thunder-lock! backtrace-depth strict! skip-zero! skip-atexit! skip-atexit-teardown!
            ignore-sigpipe! ignore-write-errors! write-errors-tolerance write-errors-exception-only!
            disable-write-exception! memory-report!/m cgi-mode!/c procname-master need-app?
            master!/M honour-stdin! exit-on-reload! die-on-term! force-gateway! no-fd-passing! locks
            lock-engine ftok persistent-ipcsem! safe-fd fd-safe no-initgroups! shutdown-sockets!
            pcre-jit! propagate-touch! no-orphans! no-default-app! stats-no-cores! stats-no-metrics!
            forkbomb-delay binary-path async max-fd threaded-logger! use-abort! log-master!
            log-master-bufsize log-master-stream! log-prefix? master-as-root! drop-after-init!
            drop-after-apps! clock close-on-exec! close-on-exec2! mode vacuum! loop autoload!
            reload-os-env! ugreen! ugreen-stacksize
        """,
    ),
    Topic(
        title="plugins",
        standing=Standing.BY_DESIGN,
        reason="the routers are built in",
        names="""
            plugins plugin need-plugins need-plugin plugins-dir plugin-dir dlopen allowed-modifiers
            remap-modifier
        """,
    ),
    Topic(
        title="care of caches",
        standing=Standing.BY_DESIGN,
        reason="items end exactly when they should, and nothing needs to sweep them",
        names="cache-expire-freq cache-report-freed-items! cache-use-last-modified!",
    ),
    Topic(
        title="workers",
        standing=Standing.BY_DESIGN,
        reason="there are no workers",
        names="""
            protocol socket-protocol processes/p workers harakiri/t harakiri-verbose!
            harakiri-graceful-timeout harakiri-graceful-signal harakiri-queue-threshold
            harakiri-no-arh! no-harakiri-arh! no-harakiri-after-req-hook! mule-harakiri max-apps
            profiler map-socket enable-threads!/T no-threads-wait! single-interpreter!/i
            worker-reload-mercy mule-reload-mercy reaper!/r max-requests/R max-requests-delta
            min-worker-lifetime max-worker-lifetime max-worker-lifetime-delta sharedarea/A queue
            queue-blocksize queue-store queue-store-sync spooler-ordered! spooler-chdir
            spooler-processes spooler-quiet! spooler-max-tasks spooler-harakiri spooler-frequency
            spooler-freq mule-msg-size? signal signal-bufsize signals-bufsize signal-timer timer
            signal-rbtimer rbtimer rpc-max refork! re-fork! refork-as-root! re-fork-as-root!
            refork-post-jail! re-fork-post-jail! after-request-hook after-request-call reload-on-as
            reload-on-rss evil-reload-on-as evil-reload-on-rss mem-collector-freq reload-on-fd
            brutal-reload-on-fd ksm? cpu-affinity catch-exceptions! reload-on-exception!
            reload-on-exception-type reload-on-exception-value reload-on-exception-repr
            exception-handler check-interval lazy! lazy-apps! cheap! cheaper cheaper-initial
            cheaper-algo cheaper-step cheaper-overload cheaper-algo-list! cheaper-algos-list!
            cheaper-list! cheaper-rss-limit-soft cheaper-rss-limit-hard idle die-on-idle! threads
            thread-stacksize threads-stacksize thread-stack-size threads-stack-size offload-threads
            offload-thread gevent gevent-monkey-patch! gevent-early-monkey-patch!
            gevent-wait-for-hub! cheaper-busyness-max cheaper-busyness-min
            cheaper-busyness-multiplier cheaper-busyness-penalty cheaper-busyness-verbose!
            cheaper-busyness-backlog-alert cheaper-busyness-backlog-multiplier
            cheaper-busyness-backlog-step cheaper-busyness-backlog-nonzero
        """,
    ),
    Topic(
        title="requests of workers",
        standing=Standing.BY_DESIGN,
        reason="workers answer requests, the router passes them on",
        names="""
            max-vars/v buffer-size/b socket-timeout/z limit-post post-buffering
            post-buffering-bufsize body-read-warning manage-script-name! ignore-script-name!
            websockets-ping-freq websocket-ping-freq websockets-pong-tolerance
            websocket-pong-tolerance websockets-max-size websocket-max-size chunked-input-limit
            chunked-input-timeout add-header rem-header del-header collect-header
            response-header-collect pull-header static-skip-ext static-safe mimefile mime-file
            static-expires-type static-expires-type-mtime static-expires static-expires-mtime
            static-expires-uri static-expires-uri-mtime static-expires-path-info
            static-expires-path-info-mtime static-gzip static-gzip-all! static-gzip-dir
            static-gzip-prefix static-gzip-ext static-gzip-suffix honour-range! file-serve-mode
            fileserve-mode disable-sendfile! response-headers-limit
        """,
    ),
    Topic(
        title="request logs of workers",
        standing=Standing.BY_DESIGN,
        reason="workers log requests; the router logs those that failed, and all with http-access-log",
        names="""
            disable-logging!/L log-format logformat logformat-strftime! log-format-strftime!
            req-logger logger-req log-req-encoder log-master-req-stream! log-zero! log-slow log-4xx!
            log-5xx! log-big log-sendfile log-ioerror log-micros! log-x-forwarded-for!
        """,
    ),
    Topic(
        title="Python of the application",
        standing=Standing.BY_DESIGN,
        reason="there is no application",
        names="""
            callable home/H virtualenv venv pyhome py-programname py-program-name pythonpath
            python-path pp pymodule-alias post-pymodule-alias pyargv optimize/O paste-logger!
            no-site! py-tracebacker py-auto-reload py-autoreload python-auto-reload
            python-autoreload py-auto-reload-ignore wsgi-env-behaviour wsgi-env-behavior
            start_response-nodelay! wsgi-strict! wsgi-accept-buffer! wsgi-accept-buffers!
            wsgi-disable-file-wrapper! python-version! py-call-osafterfork!
            py-call-uwsgi-fork-hooks! py-executable py-sys-executable symcall-use-next! pypy-home
            pypy-lib pypy-setup pypy-pp
        """,
    ),
    Topic(
        title="other languages of the application",
        standing=Standing.BY_DESIGN,
        reason="there is no application",
        names="""
            php-ini php-config php-ini-append php-config-append php-set php-var php-allowed-docroot
            php-allowed-ext php-allowed-script php-server-software php-dump-config! php-sapi-name
            php-exec-before php-exec-after early-php! early-php-sapi-name psgi-enable-psgix-io!
            perl-no-die-catch! perl-no-plack! perl-local-lib perl-version! perl-args perl-arg
            perl-auto-reload perl-auto-reload-ignore plshell? plshell-oneshot! gemset rvm rvm-path
            rb-lib ruby-lib rb-threads rbthreads ruby-threads rbshell? rbshell-oneshot! ruby-gc-freq
            rb-gc-freq cgi-map-helper cgi-helper cgi-from-docroot! cgi-buffer-size cgi-timeout
            cgi-index cgi-allowed-ext cgi-unset cgi-loadlib cgi-optimize! cgi-optimized!
            cgi-path-info! cgi-do-not-kill-on-error! cgi-async-max-attempts cgi-close-stdin-on-eof!
            lua-shell! luashell! lua-gc-freq jvm-classpath jvm-opt go-args mono-gc-freq mono-key
            mono-index mono-version mono-config mono-assembly v8-preemptive
        """,
    ),
)
