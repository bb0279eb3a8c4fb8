"""Moves data between Asterisk, the core and the store; decides almost nothing.

Read in the order data flows: inbox, controller, turn, outbox. `serve` puts it together.
"""
