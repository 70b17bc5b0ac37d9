"""Which review apps may live, where the settings limit how many. Pure: a function of all ReviewApps.

Who is refused for another reason takes no place, so that a broken ReviewApp never keeps others waiting.
"""

from __future__ import annotations

from collections.abc import Iterable

from provisioner.errors import Refusal, SpecRefused
from provisioner.rules import Rules
from watcher.cluster import Object, section
from watcher.conditions import find_condition

_MOST_NAMED = 5


class TooManyApps(SpecRefused):
    """There are as many review apps as the settings allow; the message names those that have the places."""

    reason = "TooManyApps"


def waiting(review_apps: Iterable[Object], rules: Rules) -> dict[str, TooManyApps]:
    """Return the names of the ReviewApps that have no place, with why; nobody where there is no limit."""
    if rules.most_apps is None and rules.most_apps_per_repo is None:
        return {}
    everywhere: list[str] = []
    by_repository: dict[str, list[str]] = {}
    found: dict[str, TooManyApps] = {}
    for item in _ranked(review_apps, rules):
        name, repository = item["metadata"]["name"], _repository(item)
        of_repository = by_repository.setdefault(repository, [])
        for setting, most, living in (
            ("most_apps_per_repo", rules.most_apps_per_repo, of_repository),
            ("most_apps", rules.most_apps, everywhere),
        ):
            if most is not None and len(living) >= most:
                found[name] = _too_many(repository, setting, most, living)
                break
        else:
            everywhere.append(name)
            of_repository.append(name)
    return found


def _ranked(review_apps: Iterable[Object], rules: Rules) -> list[Object]:
    """Return who asks for a place, whoever gets one first."""
    asking = [item for item in review_apps if _asks(item)]
    by_age = sorted(asking, key=lambda item: (item["metadata"]["creationTimestamp"], item["metadata"]["name"]))
    if rules.when_full == "oldest-waits":
        return by_age[::-1]
    # Who lives stays, whatever else may heal that is older.
    return sorted(by_age, key=lambda item: not _lives(item))


def _too_many(repository: str, setting: str, most: int, living: list[str]) -> TooManyApps:
    named = ", ".join(living[:_MOST_NAMED]) + (", …" if len(living) > _MOST_NAMED else "")
    whose = f" of {repository}" if setting == "most_apps_per_repo" else ""
    remedy = f"waits until one of the {most} review apps{whose} that live is closed ({named}): the setting is {setting}"
    return TooManyApps([Refusal("spec", repository, remedy)])


def _repository(item: Object) -> str:
    spec = section(item, "spec")
    return f"{spec.get('repoOwner')}/{spec.get('repo')}".lower()


def _asks(item: Object) -> bool:
    accepted = find_condition(item, "Accepted") or {}
    return accepted.get("status") != "False" or accepted.get("reason") == TooManyApps.reason or _lives(item)


def _lives(item: Object) -> bool:
    return bool(section(item, "status").get("stack"))
