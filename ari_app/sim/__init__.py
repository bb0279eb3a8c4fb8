"""The same core and runtime under a fake Asterisk, a fake clock and one seed.

`world` is the clock, `asterisk` the fake, `people` callers and phones, `script` what happens in a
seed, `process` one life of a controller, `invariants` what must hold, `shrink` the shortest story.
"""
