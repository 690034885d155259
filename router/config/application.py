"""What makes uWSGI run an application: refused, all at once, because a file that says so expects that of us.

In the lists ``!`` marks options without an argument, ``?`` those where it is optional, ``/x`` a letter.
"""

from uwsgi_router.router.config.option import Standing
from uwsgi_router.router.config.topic import Topic

TOPICS: tuple[Topic, ...] = (
    Topic(
        title="the application to run",
        standing=Standing.APPLICATION,
        reason="uwsgi-router runs no application",
        names="""
            mount wsgi-file file eval module/w wsgi test/J pecan paste web3 pump wsgi-lite ini-paste
            ini-paste-logged pyshell! pyshell-oneshot! python py pyrun python-raw symcall psgi rack
            rails php-app php-app-qs php-app-bypass php-docroot php-index php-fallback php-fallback2
            php-fallback-qs cgi lua lua-load jvm-class jvm-main-class jwsgi ring-load clojure-load
            ring-app go-load gccgo-load mono-app mono-exec pypy-wsgi pypy-wsgi-file pypy-paste
            pypy-ini-paste pypy-eval pypy-eval-post-fork pypy-exec pypy-exec-post-fork perl-exec
            perl-exec-post-fork require rbrequire rb-require rubyrequire ruby-require shared-require
            shared-rbrequire shared-rb-require shared-rubyrequire gridfs-mount glusterfs-mount
            rados-mount v8-load v8-jsgi xslt-docroot
        """,
    ),
    Topic(
        title="code that runs in workers",
        standing=Standing.APPLICATION,
        reason="uwsgi-router has no workers to run code in",
        names="""
            spooler/Q spooler-external mule? mules farm worker-exec worker-exec2 import pyimport
            py-import python-import shared-import shared-pyimport shared-py-import
            shared-python-import spooler-import spooler-pyimport spooler-py-import
            spooler-python-import py-sharedarea python-worker-override symcall-register-rpc
            symcall-post-fork
        """,
    ),
    Topic(
        title="sockets of an application in other protocols",
        standing=Standing.APPLICATION,
        reason="nothing would listen there",
        names="""
            suwsgi-socket ssl-socket http-socket http-socket-modifier1 http-socket-modifier2
            http11-socket https-socket https-socket-modifier1 https-socket-modifier2 fastcgi-socket
            fastcgi-nph-socket fastcgi-modifier1 fastcgi-modifier2 scgi-socket scgi-nph-socket
            scgi-modifier1 scgi-modifier2 raw-socket raw-modifier1 raw-modifier2 puwsgi-socket
            upload-progress udp zeromq zmq zeromq-socket zmq-socket
        """,
    ),
    Topic(
        title="files and routes that workers answer with",
        standing=Standing.APPLICATION,
        reason="nothing would answer them",
        names="""
            log-route log-req-route worker-mount vhost! vhost-host! route route-host route-uri
            route-qs route-remote-addr route-user-agent route-remote-user route-referer route-label
            route-if route-if-not route-run final-route final-route-status final-route-host
            final-route-uri final-route-qs final-route-remote-addr final-route-user-agent
            final-route-remote-user final-route-referer final-route-label final-route-if
            final-route-if-not final-route-run error-route error-route-status error-route-host
            error-route-uri error-route-qs error-route-remote-addr error-route-user-agent
            error-route-remote-user error-route-referer error-route-label error-route-if
            error-route-if-not error-route-run response-route response-route-status
            response-route-host response-route-uri response-route-qs response-route-remote-addr
            response-route-user-agent response-route-remote-user response-route-referer
            response-route-label response-route-if response-route-if-not response-route-run
            error-page-403 error-page-404 error-page-500 check-static check-static-docroot!
            static-check static-map static-map2 static-index static-cache-paths
            static-cache-paths-name
        """,
    ),
)
