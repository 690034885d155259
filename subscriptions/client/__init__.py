"""The announcing client: brings any server into a router's pool.

It needs nothing but ``protocol`` and the standard library, so that it can be shipped to applications as one file.

One :class:`~subscriptions.client.announcement.Announcement` is what is said to one server about one node. An
:class:`~subscriptions.client.announcer.Announcer` makes and sends the datagrams of all of them, a
:class:`~subscriptions.client.subscriber.Subscriber` does that at intervals (for programs, with threads or asyncio), and
a :class:`~subscriptions.client.supervisor.Supervisor` does it for a program that it starts (the command).
"""
