"""Make the fields that others have written ours, so that server-side apply takes away what we don't declare. Pure.

A field that nobody of note owns would stay for ever: the server gives those of an unknown past to a manager of its own.
https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from __future__ import annotations

from typing import Any, cast

from watcher.cluster import Object, section


def taken_over(live: Object, manager: str) -> list[Object]:
    """Return `metadata.managedFields` in which all that anybody wrote, but for subresources, is `manager`'s.

    As kubectl does when it goes over to server-side apply:
    https://github.com/kubernetes/client-go/blob/master/util/csaupgrade/upgrade.go
    """
    entries: list[Object] = section(live, "metadata").get("managedFields") or []
    written = [entry for entry in entries if not entry.get("subresource")]
    fields: Object = {}
    for entry in written:
        fields = _union(fields, entry.get("fieldsV1") or {})
    ours = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": live["apiVersion"],
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return [ours, *(entry for entry in entries if entry.get("subresource"))]


def _union(one: Object, other: Object) -> Object:
    both: Object = dict(one)
    for name, fields in other.items():
        known: Any = both.get(name)
        both[name] = _union(cast("Object", known), fields) if known else fields
    return both
