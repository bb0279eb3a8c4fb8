"""The decisions, pure: standard library only, no clock, no I/O, no randomness.

Time arrives in each event as `at` (microseconds, UTC); a deadline is a field of the state.
Start reading at `call.advance`.
"""
