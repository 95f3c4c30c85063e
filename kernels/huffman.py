"""The entropy-coded data of a baseline JPEG (ITU-T T.81, annexes C and F): tables, byte stuffing, coefficients.

A lookup by the next bits answers for a whole coefficient: how many bits its code and its value take together, where
in them the value lies, and how many zeros come before it. Codes that are too long for that go a slow way.
"""

import numpy as np

from gen_dist.kernels import jpeg_status as status
from gen_dist.kernels.jit import kernel
from gen_dist.kernels.jpeg_header import SYMBOLS
from gen_dist.kernels.jpeg_status import Integer

LOOK_BITS = 10
ENTRIES = 1 << LOOK_BITS
# Behind the lookup of a table, what the slow way wants: for codes of 1 to 16 bits the end of their range, aligned to
# 16 bits; what to add to a code for the place of its symbol; the symbols.
ENDS, OFFSETS, ALL_SYMBOLS, TABLE = ENTRIES, ENTRIES + 17, ENTRIES + 34, ENTRIES + 34 + 256
# After the end of a segment come this many zero bytes, more than a damaged block can eat before it is caught.
PADDING = 512
_STRIDE = 64  # bytes that are copied at once where no marker and nothing stuffed is among them

# An entry: bits 0 to 5 the bits of code and value; 8 to 13 those of the code; 16 to 21: 63 less those of the value;
# 24 to 31 how far the coefficient lies behind the last one, or what follows.
_STEP, _SIZE, _CODE = np.uint64(24), np.uint64(16), np.uint64(8)
_END_OF_BLOCK = 128
_SLOW = 192

_FIELD = np.uint64(63)
_LOOK = np.uint64(64 - LOOK_BITS)
_ONE, _THREE, _FULL = np.uint64(1), np.uint64(3), np.uint64(56)
_ZERO, _LAST = np.uint64(0), np.uint64(63)
_ONES = np.uint64(2**63 - 1)
_SIGN = np.int64(63)
_HALF, _LOW_HALF = np.uint64(32), np.uint64(0xFFFFFFFF)
_SHORT = 18

# Places in the state of a scan (uint64): the bit buffer, filled from the top; how many bits it holds; the next byte.
BITS, COUNT, NEXT, LENGTH, STATE = 0, 1, 2, 3, 4


@kernel(fastmath=False)
def build_table(table: np.ndarray, specification: np.ndarray, dc: bool) -> Integer:
    """Fill a table (uint32, TABLE) from a specification (uint8, SPECIFICATION; GIVEN is not looked at); a status."""
    lookup = table[:ENTRIES]
    lookup[:] = _SLOW << 24
    table[ALL_SYMBOLS:] = 0
    code: Integer = 0
    place: Integer = 0
    for length in range(1, 17):
        count = np.int64(specification[length - 1])
        table[OFFSETS + length] = np.uint32((place - code) & 0xFFFFFFFF)
        for i in range(count):
            symbol = np.int64(specification[SYMBOLS + place + i])
            if dc and symbol > 15:
                return status.BAD_HUFFMAN
            table[ALL_SYMBOLS + place + i] = symbol
            if length <= LOOK_BITS and length + (symbol & 15) <= _SHORT:
                entry = np.uint32(_entry(symbol, length, dc))
                first = (code + i) << (LOOK_BITS - length)
                last = first + (1 << (LOOK_BITS - length))
                if last <= ENTRIES:
                    lookup[first:last] = entry
        place += count
        code += count
        if count > 0 and code >= 1 << length:  # no code is all ones
            return status.BAD_HUFFMAN
        table[ENDS + length] = code << (16 - length) if count > 0 else 0
        code <<= 1
    return status.OK


@kernel(fastmath=False)
def _entry(symbol: Integer, length: Integer, dc: bool) -> Integer:
    size, run = symbol & 15, symbol >> 4
    step = run + 1
    if dc:
        step = 0
    elif size == 0 and run != 15:
        step = _END_OF_BLOCK
    return step << 24 | (63 - size) << 16 | length << 8 | (length + size)


@kernel(fastmath=False)
def unstuff(clean: np.ndarray, data: np.ndarray, start: Integer) -> tuple[Integer, Integer]:
    """Copy a segment of entropy-coded data without its stuffed zeros, up to the next marker, and PADDING zeros.

    Args:
        clean: uint8, at least the rest of `data` and PADDING.
        data: uint8.
        start: where the segment begins.

    Returns: how many bytes it has; where its marker stands (the end of `data` if there is none).
    """
    size = data.size
    at, written = start, 0
    while at < size:
        while at + _STRIDE <= size:
            block, target = data[at : at + _STRIDE], clean[written : written + _STRIDE]
            found = np.uint8(0)
            for i in range(_STRIDE):
                found |= np.uint8(block[i] == 0xFF)
                target[i] = block[i]
            if found:
                break
            at += _STRIDE
            written += _STRIDE
        stop = min(at + _STRIDE, size)
        while at < stop:
            value = data[at]
            if value == 0xFF:
                behind = at + 1
                while behind < size and data[behind] == 0xFF:
                    behind += 1
                if behind >= size or data[behind] != 0:
                    clean[written : written + PADDING] = 0
                    return written, at if behind < size else size
                at = behind
            clean[written] = value
            written += 1
            at += 1
            if value == 0xFF:
                break
    clean[written : written + PADDING] = 0
    return written, size


@kernel(fastmath=False)
def decode_mcus(
    coefficients: np.ndarray,
    state: np.ndarray,
    predictions: np.ndarray,
    clean: np.ndarray,
    tables: np.ndarray,
    plan: np.ndarray,
    scales: np.ndarray,
    first: Integer,
    count: Integer,
) -> Integer:
    """Decode `count` MCUs; a status.

    Args:
        coefficients: int16; they are put where `plan` and `scales` say, multiplied.
        state: uint64, STATE.
        predictions: int64, one a component.
        clean: uint8, what `unstuff` left.
        tables: uint32, flat.
        plan: int64, blocks of an MCU x 6: the component; where its DC table, its AC table and its scales begin;
            where its first block's coefficients begin; what to add to that from MCU to MCU.
        scales: uint64, flat, 64 a component in zigzag order: the multiplier; in the upper half where from a block's
            place the coefficient is put.
        first: the first MCU's number within the group of MCUs that `coefficients` is for.
    """
    bits, held, at = state[BITS], state[COUNT], state[NEXT]
    end = state[LENGTH] << _THREE
    for mcu in range(first, first + count):
        for b in range(plan.shape[0]):
            component = plan[b, 0]
            table, multiplier = np.uint64(plan[b, 1]), np.uint64(plan[b, 3])
            place = np.uint64(plan[b, 4] + mcu * plan[b, 5])
            bits |= _load(clean, at) >> held
            at += (_LAST - held) >> _THREE
            held |= _FULL
            entry = np.uint64(tables[table + (bits >> _LOOK)])
            if entry >> _STEP:
                entry, bad = _long_entry(tables, table, bits, True)
                if bad:
                    return status.BAD_CODE
            value = _value(bits, entry)
            bits <<= entry & _FIELD
            held -= entry & _FIELD
            predictions[component] = np.int32(predictions[component] + value)
            coefficients[place] = np.int16(predictions[component] * np.int64(scales[multiplier] & _LOW_HALF))
            table = np.uint64(plan[b, 2])
            k = _ZERO
            while k < _LAST:
                bits |= _load(clean, at) >> held
                at += (_LAST - held) >> _THREE
                held |= _FULL
                for _ in range(3):
                    entry = np.uint64(tables[table + (bits >> _LOOK)])
                    k += entry >> _STEP
                    if k > _LAST:
                        break
                    value = _value(bits, entry)
                    bits <<= entry & _FIELD
                    held -= entry  # the low six bits count
                    scale = scales[multiplier + k]
                    coefficients[place + (scale >> _HALF)] = np.int16(value * np.int64(scale & _LOW_HALF))
                    if k == _LAST:
                        break
                held &= _FIELD
                if k > _LAST:
                    if entry >> _STEP == np.uint64(_SLOW):
                        bits |= _load(clean, at) >> held
                        at += (_LAST - held) >> _THREE
                        held |= _FULL
                        k -= np.uint64(_SLOW)
                        entry, bad = _long_entry(tables, table, bits, False)
                        if bad:
                            return status.BAD_CODE
                        k += entry >> _STEP
                    if k > _LAST and entry >> _STEP != np.uint64(_END_OF_BLOCK):
                        return status.BAD_INDEX
                    if k <= _LAST:
                        value = _value(bits, entry)
                        scale = scales[multiplier + k]
                        coefficients[place + (scale >> _HALF)] = np.int16(value * np.int64(scale & _LOW_HALF))
                    bits <<= entry & _FIELD
                    held -= entry & _FIELD
            if (at << _THREE) - held > end:
                return status.CUT_DATA
    state[BITS], state[COUNT], state[NEXT] = bits, held, at
    return status.OK


@kernel(fastmath=False)
def _load(clean: np.ndarray, at: np.uint64) -> np.uint64:
    """The eight bytes at `at`, the first on top: LLVM makes one load and a byte swap of it."""
    word = _ZERO
    for i in range(8):
        word |= np.uint64(clean[at + np.uint64(i)]) << np.uint64(56 - 8 * i)
    return word


@kernel(fastmath=False)
def _value(bits: np.uint64, entry: np.uint64) -> np.int64:
    """The value behind a code: its own bits if they begin with 1, else less all ones."""
    bits <<= (entry >> _CODE) & _FIELD
    shift = (entry >> _SIZE) & _FIELD
    negative = ~(np.int64(bits) >> _SIGN)
    return np.int64((bits >> _ONE) >> shift) - (np.int64(_ONES >> shift) & negative)


@kernel(fastmath=False)
def _long_entry(tables: np.ndarray, table: np.uint64, bits: np.uint64, dc: bool) -> tuple[np.uint64, bool]:
    """The entry for a code that is not in the lookup, and whether there is no such code."""
    window = np.uint32(bits >> np.uint64(48))
    for length in range(1, 17):
        if window < tables[table + np.uint64(ENDS + length)]:
            code = np.int64(window >> np.uint32(16 - length))
            place = np.uint64((code + np.int64(tables[table + np.uint64(OFFSETS + length)])) & 255)
            symbol = np.int64(tables[table + np.uint64(ALL_SYMBOLS) + place])
            return np.uint64(_entry(symbol, length, dc)), False
    return _ZERO, True
