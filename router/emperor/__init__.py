"""Emperor: a vassal for each configuration file of some places, reloaded when that changes, stopped when it goes."""
