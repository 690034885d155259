"""The lab of all tests: nodes, clients, routers and programs, and one strict reader of what they say."""
