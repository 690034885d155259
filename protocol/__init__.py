"""Wire formats: addresses, uwsgi and subscription packets, HTTP/1, PROXY headers, cache values.

Pure functions over bytes. No event loop, no clock, no logging, no configuration; standard library
only.
"""
