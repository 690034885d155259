"""The HTTP/1 front: browsers and proxies (http router)."""
