"""Float32 numbers as text: the shortest that parses back to the same bits, many at a time.

The digits come from Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2021),
here for float32. It is compiled by numba and runs without Python's lock, so that threads share
the work: 13 ns a number and core, where numpy's own str() takes 300, pyarrow's cast 100 and orjson
20 (which holds the lock). All digits are found without a branch that depends on the data, since a
branch that is guessed wrong costs more than the arithmetic.

The notation is Python's: 0.0001 up to 1e16 in full, always with a point; else 1.5e-07.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Bytes that a number may take, sign, separator and the scratch that the kernel writes beyond it.
LONGEST = 24
BAR, NEW_LINE = ord("|"), ord("\n")
u64 = np.uint64


def powers_of_ten() -> NDArray[np.uint64]:
    """Return ceil(10^k · 2^s), s such that 2^63 ≤ it < 2^64, for k from -31 to 45, exactly."""
    powers = []
    for k in range(-31, 46):
        above, below = 10 ** max(k, 0), 10 ** max(-k, 0)
        shift = 63 + below.bit_length() - above.bit_length()
        power = -(-(above << shift) // below) if shift >= 0 else -(-above // (below << -shift))
        # The quotient of two bit lengths is off by one for half of all powers.
        if power < 1 << 63:
            power = -(-(above << (shift + 1)) // below)
        powers.append(power)
    return np.array(powers, np.uint64)


SCALES = powers_of_ten()
TENS = np.array([10**k for k in range(20)], np.uint64)
LOW_32 = u64(0xFFFFFFFF)
ZERO_POINT_ZEROS = u64(int.from_bytes(b"0.000000", "little"))


@njit(nogil=True, inline="always")
def times_to_odd(scale: Any, factor: Any) -> Any:
    """Return the top 32 of 96 bits of scale · factor, the last bit set if any below is."""
    high = (scale >> u64(32)) * factor + (((scale & LOW_32) * factor) >> u64(32))
    return (high >> u64(32)) | u64((high & LOW_32) > u64(1))


@njit(nogil=True, inline="always")
def put_eight(out: Any, at: Any, word: Any) -> Any:
    """Write eight bytes, the lowest first; LLVM makes one store of it."""
    out[at] = np.uint8(word)
    out[at + u64(1)] = np.uint8(word >> u64(8))
    out[at + u64(2)] = np.uint8(word >> u64(16))
    out[at + u64(3)] = np.uint8(word >> u64(24))
    out[at + u64(4)] = np.uint8(word >> u64(32))
    out[at + u64(5)] = np.uint8(word >> u64(40))
    out[at + u64(6)] = np.uint8(word >> u64(48))
    out[at + u64(7)] = np.uint8(word >> u64(56))


@njit(nogil=True, inline="always")
def eight_digits(number: Any) -> Any:
    """Return a number below 10^8 as eight ASCII digits in a word, the first in its lowest byte.

    Halves are split into pairs and pairs into digits, all lanes of the word at once.
    """
    upper = number // u64(10000)
    lanes = upper | ((number - upper * u64(10000)) << u64(32))
    hundreds = ((lanes * u64(10486)) >> u64(20)) & u64(0x0000007F0000007F)
    lanes = hundreds | ((lanes - u64(100) * hundreds) << u64(16))
    tens = ((lanes * u64(103)) >> u64(10)) & u64(0x000F000F000F000F)
    lanes = tens | ((lanes - u64(10) * tens) << u64(8))
    return lanes + u64(0x3030303030303030)


@njit(nogil=True, inline="always")
def shortest(bits: Any) -> Any:
    """Return (digits, exponent) of |x| = digits · 10^exponent for a finite x ≠ 0 by its bits.

    digits has at most 9 places and doesn't end in 0; it is the one nearest to x among the
    shortest that round to x. Names as in the paper: x = c · 2^q, times 10^-k.
    """
    biased = (bits >> 23) & 255
    mantissa = bits & 0x7FFFFF
    closer = np.int64(mantissa == 0 and biased > 1)
    c = mantissa | (np.int64(biased > 0) << 23)
    q = max(biased, 1) - 150
    k = (q * 1262611 - closer * 524031) >> 22
    shift = u64(q + ((-k * 1741647) >> 19) + 1)
    scale = SCALES[u64(31 - k)]
    c4 = u64(c) << u64(2)
    odd = u64(c & 1)
    lower = times_to_odd(scale, (c4 - u64(2) + u64(closer)) << shift) + odd
    middle = times_to_odd(scale, c4 << shift)
    upper = times_to_odd(scale, (c4 + u64(2)) << shift) - odd
    s = middle >> u64(2)
    s4 = middle & ~u64(3)
    s_inside = lower <= s4
    t_inside = s4 + u64(4) <= upper
    half = s4 + u64(2)
    nearest = s + u64(middle > half or (middle == half and (s & u64(1)) == u64(1)))
    digits = s + u64(t_inside) if s_inside != t_inside else nearest
    tenth = s // u64(10)
    low_inside = lower <= tenth * u64(40)
    high_inside = tenth * u64(40) + u64(40) <= upper
    shorter = (low_inside != high_inside) & (s >= u64(10))
    digits = tenth + u64(high_inside) if shorter else digits
    k += np.int64(shorter)
    while digits == digits // u64(10) * u64(10):
        digits = digits // u64(10)
        k += 1
    return digits, k


@njit(nogil=True)
def write_rare(out: Any, at: Any, first: Any, others: Any, n: Any, exponent: Any) -> Any:
    """Write a number of 10 and more, or below 0.0001, from out[at]; return where it ends.

    Its n digits (first, others) go aside, then to their places one by one.
    """
    aside = at + u64(10)
    out[aside] = first
    put_eight(out, aside + u64(1), others)
    in_full = 0 < exponent < 16
    whole = exponent + 1 if in_full else 1
    for place in range(whole):
        out[at + u64(place)] = out[aside + u64(place)] if place < n else np.uint8(48)
    out[at + u64(whole)] = 46
    for place in range(whole, n):
        out[at + u64(place + 1)] = out[aside + u64(place)]
    if in_full:
        if n <= whole:
            out[at + u64(whole + 1)] = 48
        return at + u64(max(n, whole + 1) + 1)
    end = at + u64(n + 1 if n > 1 else 1)
    out[end] = 101
    out[end + u64(1)] = 45 if exponent < 0 else 43
    out[end + u64(2)] = 48 + abs(exponent) // 10
    out[end + u64(3)] = 48 + abs(exponent) % 10
    return end + u64(4)


@njit(nogil=True, error_model="numpy", boundscheck=False)
def write_numbers(bits: Any, out: Any, at: Any, separator: Any) -> Any:
    """Write finite numbers by their bits (m,) uint32 from out[at], each followed by a separator."""
    for column in range(len(bits)):
        here = np.int64(bits[column])
        out[at] = 45  # a minus, overwritten if there is none
        at += u64(here >> 31)
        if here & 0x7FFFFFFF == 0:
            put_eight(out, at, ZERO_POINT_ZEROS)
            out[at + u64(3)] = separator
            at += u64(4)
            continue
        digits, k = shortest(here)
        if digits >= u64(1000000):
            n = 7 + np.int64(digits >= u64(10000000)) + np.int64(digits >= u64(100000000))
        else:
            n = np.int64(1)
            while digits >= TENS[u64(n)]:
                n += 1
        exponent = k + n - 1  # of the first digit
        nine = digits * TENS[u64(9 - n)]
        top = nine // u64(100000000)
        first = np.uint8(u64(48) + top)
        others = eight_digits(nine - top * u64(100000000))
        if -4 <= exponent <= 0:
            # 0.000ddd and d.ddd alike: zeros, the digits over them, then the first one for d.ddd.
            put_eight(out, at, ZERO_POINT_ZEROS)
            start = at + u64(1 - exponent)
            out[start] = first
            put_eight(out, start + u64(1), others)
            out[at] = first if exponent == 0 else np.uint8(48)
            out[at + u64(1)] = 46
            end = start + u64(max(n, 1 + np.int64(exponent == 0)))
        else:
            end = write_rare(out, at, first, others, n, exponent)
        out[end] = separator
        at = end + u64(1)
    return at


@njit(nogil=True, error_model="numpy", boundscheck=False)
def write_rows(
    bits: Any, heads: Any, bounds: Any, out: Any, separator: int = BAR, closing: int = 0
) -> Any:
    """Write rows: head, the numbers joined by `separator`, a new line; return the bytes written.

    bits (m, d) uint32: the bits of finite float32 numbers. heads: uint8, the head of row i being
    heads[bounds[i]:bounds[i + 1]]. out: uint8, at least len(heads) + (m · d + 1) · LONGEST bytes.
    closing: a character that stands before the new line, such as a bracket's; 0 for none.
    """
    at = u64(0)
    for row in range(bits.shape[0]):
        for place in range(bounds[row], bounds[row + 1]):
            out[at] = heads[u64(place)]
            at += u64(1)
        at = write_numbers(bits[row], out, at, np.uint8(separator))
        if closing:
            out[at - u64(1)] = np.uint8(closing)
            at += u64(1)
        out[at - u64(1)] = NEW_LINE
    return np.int64(at)
