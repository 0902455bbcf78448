"""Float32 comparisons that forgive nothing they are not told to forgive."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def as_table(values: Floats) -> NDArray[np.float32]:
    """float32, one line a row, one column an output."""
    narrowed = np.asarray(values, dtype=np.float32)
    return narrowed.reshape(len(narrowed), -1)


def ulps(actual: Floats, expected: Floats) -> NDArray[np.int64]:
    """How many float32 values lie between the two, element by element; two NaNs are 0 apart, NaN and a number 2^32."""
    a, b = as_table(actual), as_table(expected)
    assert a.shape == b.shape, f"shape {a.shape}, expected {b.shape}"
    distance = np.abs(_ordinal(a) - _ordinal(b))
    both, one = np.isnan(a) & np.isnan(b), np.isnan(a) ^ np.isnan(b)
    return np.where(both, 0, np.where(one, 1 << 32, distance))


def _ordinal(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Maps float32 to integers so that neighbours differ by one; -0.0 and 0.0 are neighbours too."""
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFF_FFFF) - 1, bits)


def assert_within(actual: Floats, expected: Floats, limit: int) -> int:
    """Fails with the first offenders when a value is more than `limit` ulps off; returns how many are off at all."""
    distance = ulps(actual, expected)
    wrong = np.argwhere(distance > limit)
    if len(wrong):
        a, b = as_table(actual), as_table(expected)
        first = [f"  row {i}, output {j}: {a[i, j]!r}, expected {b[i, j]!r}" for i, j in wrong[:5]]
        header = f"{len(wrong)} of {distance.size} values differ by more than {limit} ulp"
        raise AssertionError("\n".join([header, *first]))
    return int((distance > 0).sum())


def assert_bit_equal(actual: Floats, expected: Floats) -> None:
    assert_within(actual, expected, 0)
