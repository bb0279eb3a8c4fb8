"""The edge to Asterisk: the only folder that knows ARI's words, SIP's numbers and HTTP.

In:  `client` reads a frame -> `wire.decode` -> `translate` -> one event of `core.events`, or None.
Out: one command of `core.commands` -> `requests` -> `client.send` -> `requests.outcome`.
`observe` reads what Asterisk holds of ours, for recovery. Only `client` does I/O.
"""
