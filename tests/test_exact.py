"""The comparison that every other test leans on can tell neighbours apart."""

import numpy as np
import pytest

from exact import FAR, assert_bit_equal, assert_within, ulps


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        (1.0, 1.0, 0),
        (1.0, np.nextafter(np.float32(1), np.float32(2)), 1),
        (-1.0, np.nextafter(np.float32(-1), np.float32(0)), 1),
        (0.0, -0.0, 1),
        (1e-45, -1e-45, 3),
        (np.inf, 3.4028234663852886e38, 1),
        (np.nan, np.nan, 0),
        (np.nan, 1.0, FAR),
    ],
)
def test_distance_counts_floats_between(a: float, b: float, distance: int) -> None:
    assert ulps(np.array([a]), np.array([b])).tolist() == [[distance]]
    assert ulps(np.array([b]), np.array([a])).tolist() == [[distance]]


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        (1.0, 1.0, 0),
        (1.0, np.nextafter(1.0, 2.0), 1),
        (-1.0, np.nextafter(-1.0, 0.0), 1),
        (0.0, -0.0, 1),
        (5e-324, -5e-324, 3),
        (np.inf, np.finfo(np.float64).max, 1),
        (np.nan, np.nan, 0),
        (np.nan, -np.inf, FAR),
    ],
)
def test_distance_counts_doubles_between(a: float, b: float, distance: int) -> None:
    assert ulps(np.array([a]), np.array([b]), np.float64).tolist() == [[distance]]
    assert ulps(np.array([b]), np.array([a]), np.float64).tolist() == [[distance]]


def test_one_ulp_is_not_equal_and_is_counted() -> None:
    expected = np.array([0.5, 0.25], dtype=np.float32)
    actual = np.array([0.5, np.nextafter(np.float32(0.25), np.float32(1))])
    assert assert_within(actual, expected, 1) == 1
    with pytest.raises(AssertionError, match="1 of 2 values differ"):
        assert_bit_equal(actual, expected)


def test_shapes_must_agree() -> None:
    with pytest.raises(AssertionError, match="shape"):
        ulps(np.zeros((2, 3)), np.zeros((3, 2)))
