"""Float32 numbers as text: the shortest that parses back to the same bits, many at a time.

The digits come from Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2021),
here for float32. It is compiled by numba and runs without Python's lock, so that threads share
the work. Two passes over a row: `spell` finds the sixteen bytes of each number without a branch,
so that the compiler does eight numbers at once; `spell_rows` puts them one behind the other. With
AVX-512 that takes 5 ns a number and core, with AVX2 13; numpy's own str() takes 300 to 380,
pyarrow's cast 100, orjson 20 (which holds the lock).

The notation is Python's: 0.0001 up to 1e16 in full, always with a point; else 1.5e-07.
"""

from contextlib import suppress
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
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
LOW_32 = u64(0xFFFFFFFF)
ZERO_POINT_ZEROS = u64(int.from_bytes(b"0.000000", "little"))
SECOND_POINT = u64(ord(".") << 8)
EIGHT_ZEROS = u64(int.from_bytes(b"00000000", "little"))
NINE_DIGITS = u64(100_000_000)


def count_leading_zeros(context: Any, word: Any) -> Any:
    """Count the zero bits above the highest set one of a uint64; 64 for 0."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, 0))

    return types.uint64(types.uint64), build


leading_zeros: Any = intrinsic(count_leading_zeros)


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
    """Return the eight digits of a number below 10^8, a byte each, the first the lowest.

    Halves are split into pairs and pairs into digits, all lanes of the word at once. Divisions are
    products with a rounded-up reciprocal, exact for numbers of these sizes.
    """
    upper = (number * u64(109951163)) >> u64(40)  # // 10^4
    lanes = upper | ((number - upper * u64(10000)) << u64(32))
    hundreds = ((lanes * u64(10486)) >> u64(20)) & u64(0x0000007F0000007F)
    lanes = hundreds | ((lanes - u64(100) * hundreds) << u64(16))
    tens = ((lanes * u64(103)) >> u64(10)) & u64(0x000F000F000F000F)
    return tens | ((lanes - u64(10) * tens) << u64(8))


@njit(nogil=True, inline="always")
def shortest(bits: Any) -> Any:
    """Return (digits, exponent) of x = digits · 10^exponent for a finite x > 0 by its bits, uint64.

    digits has at most 9 places, and perhaps zeros at its end; without them it is the one nearest
    to x among the shortest that round to x. Names as in the paper: x = c · 2^q, times 10^-k.
    """
    biased = np.int64(bits >> u64(23))
    mantissa = bits & u64(0x7FFFFF)
    closer = np.int64((mantissa == u64(0)) & (biased > 1))
    c4 = (mantissa | (u64(biased > 0) << u64(23))) << u64(2)
    q = max(biased, np.int64(1)) - 150
    k = (q * 1262611 - closer * 524031) >> 22
    shift = u64(q + ((-k * 1741647) >> 19) + 1)
    scale = SCALES[u64(31 - k)]
    odd = mantissa & u64(1)
    lower = times_to_odd(scale, (c4 - u64(2) + u64(closer)) << shift) + odd
    middle = times_to_odd(scale, c4 << shift)
    upper = times_to_odd(scale, (c4 + u64(2)) << shift) - odd
    s = middle >> u64(2)
    s4 = middle & ~u64(3)
    s_inside = lower <= s4
    t_inside = s4 + u64(4) <= upper
    # Up from beyond the half, and from the half itself if s is odd.
    nearest = u64((middle & u64(3)) + (s & u64(1)) > u64(2))
    digits = s + (u64(t_inside) if s_inside != t_inside else nearest)
    tenth = (s * u64(3435973837)) >> u64(35)
    low_inside = lower <= tenth * u64(40)
    high_inside = tenth * u64(40) + u64(40) <= upper
    shorter = (low_inside != high_inside) & (s >= u64(10))
    digits = tenth + u64(high_inside) if shorter else digits
    return digits, k + np.int64(shorter)


@njit(nogil=True, inline="always")
def nine_digits(digits: Any, exponent: Any) -> Any:
    """Return (first digit, the eight others, the first one's exponent); `digits` is below 10^9.

    A number of fewer than six digits (only denormal ones have so few) gets zeros before them.
    """
    for _ in range(3):
        few = digits < NINE_DIGITS
        digits = digits * u64(10) if few else digits
        exponent -= np.int64(few)
    first = (digits * u64(1441151881)) >> u64(57)  # // 10^8
    return first, eight_digits(digits - first * NINE_DIGITS), exponent + 8


@njit(nogil=True, inline="always")
def significant(others: Any) -> Any:
    """Count the digits of `nine_digits`, the zeros at the end left out."""
    return u64(9) - (leading_zeros(others) >> u64(3))


@njit(nogil=True, error_model="numpy", boundscheck=False)
def spell(bits: Any, low: Any, high: Any, length: Any) -> Any:
    """Find the text of finite numbers by their bits (m,) uint32: bytes 0-7, 8-15, and how many.

    All out arrays are (m,) uint64. 0 and 0.0001 up to 10 have at most fifteen bytes; the length of
    for any other it is 0. No branch depends on the data: this loop becomes vector instructions.
    """
    for i in range(len(bits)):
        here = u64(bits[i])
        size = here & u64(0x7FFFFFFF)
        digits, exponent = shortest(size)
        first, others, exponent = nine_digits(digits, exponent)
        n = significant(others)
        first += u64(48)
        others += EIGHT_ZEROS
        # d.ddd, or 0.000ddd: `zeros` of them before the first digit.
        zeros = u64(-exponent) & u64(7)
        until = (zeros + u64(1)) << u64(3)
        start = ZERO_POINT_ZEROS & ((u64(1) << until) - u64(1))
        word = first | SECOND_POINT if exponent == 0 else start | (first << until)
        word |= others << (u64(8) + until)
        rest = others >> ((u64(56) - until) & u64(63))
        count = max(n + u64(1), u64(3)) if exponent == 0 else n + zeros + u64(1)
        count = count if (exponent <= 0) & (exponent >= -4) else u64(0)
        nothing = size == u64(0)
        word = ZERO_POINT_ZEROS if nothing else word
        count = u64(3) if nothing else count
        negative = here >> u64(31)
        low[i] = (word << (negative << u64(3))) | (negative * u64(45))
        high[i] = (rest << (negative << u64(3))) | (negative * (word >> u64(56)))
        length[i] = count + negative if count else u64(0)


@njit(nogil=True)
def write_rare(bits: Any, out: Any, at: Any) -> Any:
    """Write a number of 10 and more, or below 0.0001, from out[at]; return where it ends.

    Its digits go aside, then to their places one by one.
    """
    if bits >> u64(31):
        out[at] = 45
        at += u64(1)
    digits, exponent = shortest(bits & u64(0x7FFFFFFF))
    while digits < u64(1000000):  # a denormal number
        digits *= u64(10)
        exponent -= 1
    first, others, exponent = nine_digits(digits, exponent)
    n = np.int64(significant(others))
    aside = at + u64(10)
    out[aside] = first + u64(48)
    put_eight(out, aside + u64(1), others + EIGHT_ZEROS)
    in_full = 0 < exponent < 16
    integer_digits = exponent + 1 if in_full else 1
    for place in range(integer_digits):
        out[at + u64(place)] = out[aside + u64(place)] if place < n else np.uint8(48)
    out[at + u64(integer_digits)] = 46
    for place in range(integer_digits, n):
        out[at + u64(place + 1)] = out[aside + u64(place)]
    if in_full:
        if n <= integer_digits:
            out[at + u64(integer_digits + 1)] = 48
        return at + u64(max(n, integer_digits + 1) + 1)
    end = at + u64(n + 1 if n > 1 else 1)
    out[end] = 101
    out[end + u64(1)] = 45 if exponent < 0 else 43
    out[end + u64(2)] = 48 + abs(exponent) // 10
    out[end + u64(3)] = 48 + abs(exponent) % 10
    return end + u64(4)


@njit(nogil=True, error_model="numpy", boundscheck=False)
def spell_rows(
    bits: Any, heads: Any, bounds: Any, out: Any, separator: int = BAR, closing: int = 0
) -> Any:
    """Write rows: head, the numbers joined by `separator`, a new line; return the bytes written.

    bits (m, d) uint32, d at least 1 for several rows: the bits of finite float32 numbers. heads:
    uint8, the head of row i being heads[bounds[i]:bounds[i + 1]]. out: uint8, at least
    len(heads) + (m · d + 1) · LONGEST bytes.
    closing: a character before the new line, such as a bracket's; 0 for none.
    """
    at = u64(0)
    low = np.empty(bits.shape[1], np.uint64)
    high, length = np.empty_like(low), np.empty_like(low)
    for row in range(bits.shape[0]):
        for place in range(bounds[row], bounds[row + 1]):
            out[at] = heads[u64(place)]
            at += u64(1)
        spell(bits[row], low, high, length)
        for column in range(len(low)):
            if length[column]:
                # Sixteen bytes; those beyond its end are overwritten by what comes next.
                put_eight(out, at, low[column])
                put_eight(out, at + u64(8), high[column])
                at += length[column]
            else:
                at = write_rare(u64(bits[row, column]), out, at)
            out[at] = separator
            at += u64(1)
        if len(low):
            at -= u64(1)  # no separator behind the last
        if closing:
            out[at] = np.uint8(closing)
            at += u64(1)
        out[at] = NEW_LINE
        at += u64(1)
    return np.int64(at)


# Compiling takes five seconds, loading what an earlier job compiled a fifth of one. Without a
# folder that can be written, each job compiles.
with suppress(RuntimeError):
    spell_rows.enable_caching()
