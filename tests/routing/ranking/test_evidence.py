"""One percentile for the whole product: nearest rank."""

from __future__ import annotations

import pytest

from routing.ranking.evidence import percentile


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        (range(1, 21), 0.95, 19),
        ([1, 2], 0.5, 1),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        (range(1, 101), 0.95, 95),
        (range(1, 101), 0.07, 7),
        ([4.0], 0.0, 4.0),
        ([1, 2, 3], 1.0, 3),
        ([], 0.5, None),
    ],
)
def test_is_the_smallest_value_that_the_share_does_not_exceed(values, share, expected):
    assert percentile(list(values), share) == expected
