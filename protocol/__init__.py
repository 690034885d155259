"""What bytes mean: addresses, uwsgi packets, subscription packets.

Pure functions over bytes. No event loop, no clock, no logging, no configuration; standard library
only.
"""
