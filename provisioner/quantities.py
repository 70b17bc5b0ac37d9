"""Amounts of CPU and memory as Kubernetes writes them. Pure.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from decimal import Decimal

PATTERN = r"[0-9]{1,9}(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
REMEDY = "must be a quantity of Kubernetes, as in 500m or 256Mi"

_UNITS = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", 1)},
}


def number(quantity: str) -> Decimal:
    """Return how much a quantity is.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(PATTERN, quantity):
        raise ValueError(f"{quantity!r} {REMEDY}")
    digits = re.sub("[a-zA-Z]+$", "", quantity)
    return Decimal(digits) * _UNITS[quantity[len(digits) :]]
