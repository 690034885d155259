"""Announcing client: brings any server into a router's pool, and withdraws it.

It needs nothing but ``protocol`` and the standard library, so that it can be shipped to applications as one file.

One ``Announcement`` is what is said to one server about one node. An ``Announcer`` makes and sends the datagrams of all
of them, and a ``Subscriber`` does that at intervals, for programs. ``command`` does it for a program that it starts,
with the supervisor of ``application``.
"""
