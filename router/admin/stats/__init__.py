"""Statistics of a running router: uWSGI's JSON document, Prometheus metrics, the port that serves both."""
