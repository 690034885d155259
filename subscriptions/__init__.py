"""Who is there: the table of announced nodes, how one is chosen, and the datagram server that fills it."""
