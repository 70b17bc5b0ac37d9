"""Who may live where there are more review apps than may."""

from __future__ import annotations

from typing import Any, Literal

from provisioner.rules import Rules
from tests.unit.watcher.views import review_app
from watcher.cluster import Object
from watcher.places import waiting


def app(name: str, created: int, repo: str = "shop", *, lives: bool = False, reason: str | None = None) -> Object:
    item = review_app(repo=repo)
    item["metadata"] |= {"name": name, "creationTimestamp": f"2026-01-01T00:00:{created:02}Z"}
    status: dict[str, Any] = {"stack": name} if lives else {}
    if reason:
        status["conditions"] = [{"type": "Accepted", "status": "False", "reason": reason}]
    return item | {"status": status}


def rules(
    most: int | None = None, per_repo: int | None = None, when: Literal["oldest-wins", "oldest-waits"] = "oldest-wins"
) -> Rules:
    return Rules(most_apps=most, most_apps_per_repo=per_repo, when_full=when)


def names(apps: list[Object], given: Rules) -> list[str]:
    return sorted(waiting(apps, given))


def test_without_a_limit_all_live() -> None:
    assert waiting([app(str(number), number) for number in range(50)], rules()) == {}


def test_the_oldest_win() -> None:
    assert names([app("c", 3), app("a", 1), app("b", 2)], rules(2)) == ["c"]
    # Of one second, by name.
    assert names([app("b", 1), app("a", 1)], rules(1)) == ["b"]


def test_the_oldest_wait() -> None:
    assert names([app("c", 3), app("a", 1, lives=True), app("b", 2)], rules(2, when="oldest-waits")) == ["a"]


def test_a_limit_of_each_repository() -> None:
    apps = [app("a", 1), app("b", 2), app("c", 3, "site"), app("d", 4, "Site")]
    assert names(apps, rules(per_repo=1)) == ["b", "d"]
    assert names(apps, rules(most=2, per_repo=1)) == ["b", "d"]
    assert names(apps, rules(most=1, per_repo=2)) == ["b", "c", "d"]


def test_who_lives_stays_though_an_older_one_heals() -> None:
    assert names([app("old", 1), app("new", 2, lives=True)], rules(1)) == ["old"]


def test_who_is_refused_keeps_nobody_waiting() -> None:
    assert names([app("bad", 1, reason="InvalidSpec"), app("good", 2)], rules(1)) == []
    # But who waited before goes on to wait, and a broken push gives no place away.
    assert names([app("first", 1), app("second", 2, reason="TooManyApps")], rules(1)) == ["second"]
    assert names([app("pushed", 1, lives=True, reason="InvalidSpec"), app("new", 2)], rules(1)) == ["new"]


def test_it_is_said_who_has_the_places_and_which_setting_says_so() -> None:
    apps = [app(name, number) for number, name in enumerate("abcdefgh")]
    error = waiting(apps, rules(per_repo=6))["g"]
    assert error.reason == "TooManyApps"
    assert str(error) == (
        "spec: acme/shop waits until one of the 6 review apps of acme/shop that live is closed (a, b, c, d, e, …): "
        "the setting is most_apps_per_repo"
    )
    assert "review apps that live is closed" in str(waiting(apps, rules(1))["b"])
