"""A whole watcher in memory, fed with hostile specs; with more of them by `python -m tests.fuzz --watcher`."""

from __future__ import annotations

from tests.fuzz import check_in_watcher


def test_it_lives_through_hostile_specs() -> None:
    # Among these are ones without text where there should be some, and one that is no Unicode.
    *_, (accepted, refused) = check_in_watcher(range(380, 580), batch=100)
    assert accepted + refused == 200
    assert accepted > 20
