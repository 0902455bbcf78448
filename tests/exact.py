"""Comparisons of floats, in the precision of the library, that accept no difference unless it is allowed."""

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.floating]
FAR = 1 << 62  # how far NaN is from a number


def as_table(values: Floats, dtype: DTypeLike = np.float32) -> Floats:
    """One line a row, one column an output."""
    narrowed = np.asarray(values, dtype=dtype)
    return narrowed.reshape(len(narrowed), -1)


def ulps(actual: Floats, expected: Floats, dtype: DTypeLike = np.float32) -> NDArray[np.uint64]:
    """How many values of the type lie between the two, element by element; two NaNs are 0 apart, NaN is FAR."""
    a, b = as_table(actual, dtype), as_table(expected, dtype)
    assert a.shape == b.shape, f"shape {a.shape}, expected {b.shape}"
    first, second = _ordinal(a), _ordinal(b)
    distance = np.where(first > second, first - second, second - first)
    both, one = np.isnan(a) & np.isnan(b), np.isnan(a) ^ np.isnan(b)
    return np.where(both, np.uint64(0), np.where(one, np.uint64(FAR), distance))


def _ordinal(values: Floats) -> NDArray[np.uint64]:
    """Maps floats to integers so that neighbours differ by one; -0.0 and 0.0 are neighbours too."""
    width = 8 * values.dtype.itemsize
    bits = values.view(np.uint32 if width == 32 else np.uint64).astype(np.uint64)
    sign = np.uint64(1 << (width - 1))
    # Unsigned: double's negative half reaches down to the smallest 64-bit integer.
    return np.where(bits >= sign, ~bits & (sign - np.uint64(1)), bits | sign)


def assert_within(actual: Floats, expected: Floats, limit: int, dtype: DTypeLike = np.float32) -> int:
    """Fails with the first offenders when a value is more than `limit` ulps off; returns how many are off at all."""
    distance = ulps(actual, expected, dtype)
    wrong = np.argwhere(distance > limit)
    if len(wrong):
        a, b = as_table(actual, dtype), as_table(expected, dtype)
        first = [f"  row {i}, output {j}: {a[i, j]!r}, expected {b[i, j]!r}" for i, j in wrong[:5]]
        header = f"{len(wrong)} of {distance.size} values differ by more than {limit} ulp"
        raise AssertionError("\n".join([header, *first]))
    return int((distance > 0).sum())


def assert_bit_equal(actual: Floats, expected: Floats, dtype: DTypeLike = np.float32) -> None:
    assert_within(actual, expected, 0, dtype)
