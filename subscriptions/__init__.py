"""Who is there: the table of announced nodes, how one is chosen, and the server that fills it."""
