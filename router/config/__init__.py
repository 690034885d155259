"""Options: one table of all that uWSGI knows, command line and ini dialect, and what becomes of each setting.

:func:`uwsgi_router.router.config.load.examine` is the way in; nothing else in the program reads an option.
"""
