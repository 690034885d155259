"""Applications of a configuration: from their words to the supervisor's plans, and to the router before them."""
