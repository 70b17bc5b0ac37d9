from __future__ import annotations

import pulumi

from provisioner.warm_up import FULL_INPUTS, warm_up
from stacks.registration import CUSTOM_KINDS, KINDS
from stacks.review_app import manifests


def test_the_full_inputs_declare_every_kind() -> None:
    assert {(manifest["apiVersion"], manifest["kind"]) for manifest in manifests(FULL_INPUTS)} == {
        kind for kind in KINDS if kind not in CUSTOM_KINDS
    }


def test_the_full_inputs_leave_nothing_out() -> None:
    document = FULL_INPUTS.model_dump_json()
    assert "null" not in document
    assert "[]" not in document
    assert "{}" not in document


def test_later_programs_do_not_see_the_mocks() -> None:
    warm_up()
    assert pulumi.runtime.settings.get_monitor() is None
    assert pulumi.runtime.get_root_resource() is None
