"""Attacks: how long an innocent client waits while others try to keep the router to themselves."""
