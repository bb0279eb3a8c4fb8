"""Tones as 8 kHz samples: make one, encode it as G.711 ulaw, and tell how much of it is heard.

Contract: pure functions. `share(samples, hz)` is the part of the sound's energy at `hz`, 0 to 1:
about 1 for the pure tone, about 0 for another tone or for silence.
"""

import math
from collections.abc import Sequence

RATE = 8000
FRAME = 160  # samples in 20 ms
ANN_HZ = 450
CALLER_HZ = 900
SILENCE = b"\xff" * FRAME
QUIET = 50.0  # root mean square below which there is nothing to hear
_BIAS = 0x84


def tone(hz: float, samples: int, start: int = 0) -> list[int]:
    step = 2 * math.pi * hz / RATE
    return [int(8000 * math.sin(step * (start + n))) for n in range(samples)]


def share(samples: Sequence[int], hz: float) -> float:
    """Goertzel: energy at `hz` over all energy."""
    energy = sum(sample * sample for sample in samples)
    if not samples or loudness(samples) < QUIET:
        return 0.0
    turn = 2 * math.cos(2 * math.pi * hz / RATE)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + turn * last - before
    power = before * before + last * last - turn * before * last
    return 2 * power / (len(samples) * energy)


def loudness(samples: Sequence[int]) -> float:
    """Root mean square."""
    if not samples:
        return 0.0
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples))


def encode(samples: Sequence[int]) -> bytes:
    return bytes(_encode(sample) for sample in samples)


def decode(payload: bytes) -> list[int]:
    return [_TABLE[code] for code in payload]


def _encode(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + _BIAS
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return ~(sign | (exponent << 4) | mantissa) & 0xFF


def _decode(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)
    return (_BIAS - magnitude) if code & 0x80 else (magnitude - _BIAS)


_TABLE = tuple(_decode(code) for code in range(256))
