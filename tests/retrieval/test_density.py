"""Convolution and peaks, on values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_retriever.retrieval.density import find_peaks, smooth
from s3_retriever.settings import DensitySettings


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (1, [0, 4, 0, 0, 8]),
        (2, [2, 2, 0, 4, 4]),
        (3, [4 / 3, 4 / 3, 4 / 3, 8 / 3, 8 / 3]),
        (4, [1, 1, 3, 2, 2]),
    ],
)
def test_smooth(kernel: int, expected: list[float]) -> None:
    assert smooth(np.array([0.0, 4, 0, 0, 8]), kernel).tolist() == pytest.approx(expected)


@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=60),
    st.integers(1, 70),
)
def test_smooth_is_numpys_convolution(scores: list[float], kernel: int) -> None:
    left = (kernel - 1) // 2
    padded = np.pad(scores, (left, kernel - 1 - left))
    expected = np.convolve(padded, np.ones(kernel) / kernel, mode="valid")
    assert np.allclose(smooth(np.array(scores), kernel), expected, atol=1e-9)


def test_peaks_suppress_their_neighbours() -> None:
    density = np.array([1.0, 5, 4, 0, 3, 2])
    assert find_peaks(density, DensitySettings(suppression=1)) == [1, 4]
    assert find_peaks(density, DensitySettings(suppression=0)) == [1, 2, 4, 5, 0]


def test_peaks_are_limited_and_positive() -> None:
    assert find_peaks(np.array([1.0, 2, 3]), DensitySettings(suppression=0, centres=2)) == [2, 1]
    assert find_peaks(np.array([0.0, -1.0]), DensitySettings()) == []


@given(st.lists(st.floats(-5, 5), max_size=80), st.integers(0, 10), st.integers(1, 10))
def test_peaks_keep_their_distance(scores: list[float], distance: int, centres: int) -> None:
    density = np.array(scores)
    peaks = find_peaks(density, DensitySettings(suppression=distance, centres=centres))
    assert len(peaks) <= centres
    assert all(abs(a - b) > distance for i, a in enumerate(peaks) for b in peaks[:i])
    assert [density[p] for p in peaks] == sorted((density[p] for p in peaks), reverse=True)
    if len(peaks) < centres:  # every positive token is a peak or suppressed by a better one
        for position in np.flatnonzero(density > 0):
            assert any(
                abs(p - position) <= distance and density[p] >= density[position] for p in peaks
            )
