"""A whole watcher in memory, fed with hostile specs; with more of them by `python -m tests.fuzz --watcher`."""

from __future__ import annotations

import pytest

from tests.fuzz import check_in_watcher


@pytest.mark.parametrize("mode", ["shared", "per-app"])
def test_it_lives_through_hostile_specs(mode: str) -> None:
    # Among these are ones without text where there should be some, and one that is no Unicode.
    *_, (accepted, refused) = check_in_watcher(range(380, 530), batch=75, namespace_mode=mode)
    assert accepted + refused == 150
    assert accepted > 15
