"""Archives of every format are built; one that reaches outside, or is none, ends in a condition that says so."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Repository
from tests.e2e.side_by_side import side_by_side

pytestmark = pytest.mark.cluster

BUILT = ("by zstd", "not compressed")
REFUSED = {"hostile archive": "lies below 'out'", "no archive": "neither tar nor tar.gz nor tar.zst"}


@side_by_side
def test_each_format_is_built_and_hostile_ones_are_not(repository: Repository, commits: dict[str, str]) -> None:
    opened = {version: repository.pull_request() for version in (*BUILT, *REFUSED)}
    for version, pull_request in opened.items():
        pull_request.open(commits[version])
    for version, said in REFUSED.items():
        failed = opened[version].until_condition("Built", "False", "BuildFailed")
        assert "container unpack" in failed["message"]
        assert said in failed["message"]
    for version in BUILT:
        opened[version].until_ready(commits[version])
        assert commits[version] in (opened[version].page() or "")
