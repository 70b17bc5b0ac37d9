"""One comment in a pull request, whatever else is there and whatever the forge answers."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import pytest
import stamina
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bot.credentials import comments_of
from bot.errors import ForgeRefused
from bot.forge import Comments, publish
from tests.unit.bot.forges import Answer, Forge, GitHub, GitLab

MARKER = "<!-- reviewapp: acme-shop-42 -->"
BODY = f"{MARKER}\n\n### Review app: ready"


@pytest.fixture
def github() -> Generator[GitHub]:
    forge = GitHub()
    yield forge
    forge.close()


@pytest.fixture
def gitlab() -> Generator[GitLab]:
    forge = GitLab()
    yield forge
    forge.close()


@pytest.fixture(params=["github", "gitlab"])
def forge(request: pytest.FixtureRequest) -> Forge:
    return request.getfixturevalue(request.param)


@pytest.fixture
def waits() -> Generator[list[float]]:
    """The seconds that a further try would have waited for; no test waits them."""
    waited: list[float] = []
    hook = stamina.instrumentation.RetryHookFactory(lambda: lambda details: waited.append(details.wait_for))
    before = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([hook])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", _at_once)
        yield waited
    stamina.instrumentation.set_on_retry_hooks(before)


def _at_once(seconds: float) -> None:
    pass


def comments(forge: Forge, token: str = "personal") -> Comments:
    if isinstance(forge, GitHub):
        return comments_of("github", forge.url, "acme/shop", "42", {"GITHUB_TOKEN": token})
    return comments_of("gitlab", forge.url, "acme/web/shop", "42", {"GITLAB_TOKEN": token})


def others(forge: Forge, count: int) -> None:
    for number in range(count):
        if isinstance(forge, GitHub):
            forge.comment(f"comment {number}", f"user{number}")
        elif isinstance(forge, GitLab):
            forge.note(f"comment {number}", 100 + number, system=number % 3 == 0)


def bodies(forge: Forge) -> list[str]:
    return [comment["body"] for comment in forge.comments if comment["body"].startswith("<!--")]


def test_it_is_made_once_then_changed(forge: Forge) -> None:
    first = publish(comments(forge), MARKER, BODY)
    again = publish(comments(forge), MARKER, f"{BODY} again")
    assert first
    assert again
    assert first.id == again.id
    assert bodies(forge) == [f"{BODY} again"]
    assert [write.split()[0] for write in forge.writes()] == ["POST", "PATCH" if isinstance(forge, GitHub) else "PUT"]


def test_what_says_the_same_is_not_written(forge: Forge) -> None:
    publish(comments(forge), MARKER, BODY)
    assert publish(comments(forge), MARKER, BODY)
    assert len(forge.writes()) == 1


def test_it_is_found_among_many_pages(forge: Forge) -> None:
    others(forge, 250)
    publish(comments(forge), MARKER, BODY)
    others(forge, 130)
    publish(comments(forge), MARKER, f"{BODY} again")
    assert bodies(forge) == [f"{BODY} again"]
    pages = [request.query.get("page", "1") for request in forge.requests if request.query.get("per_page") == "100"]
    # To its place, and not to the end.
    assert pages == ["1", "2", "3", "1", "2", "3"]


def test_where_there_is_none_none_is_made_unless_asked(forge: Forge) -> None:
    others(forge, 3)
    assert publish(comments(forge), MARKER, BODY, create=False) is None
    assert forge.writes() == []


def test_two_review_apps_have_a_comment_each(forge: Forge) -> None:
    publish(comments(forge), MARKER, BODY)
    other = "<!-- reviewapp: acme-shop-42-admin -->"
    publish(comments(forge), other, other)
    assert bodies(forge) == [BODY, other]


def test_somebody_elses_comment_is_not_ours_whatever_it_says(github: GitHub, gitlab: GitLab) -> None:
    github.comment(BODY, "mallory")
    github.comment(f"> {BODY}", "bot")
    gitlab.note(BODY, 13)
    for forge in (github, gitlab):
        publish(comments(forge), MARKER, f"{BODY} ours")
        assert [write.split()[0] for write in forge.writes()] == ["POST"]
        assert bodies(forge) == [BODY, f"{BODY} ours"]


def test_a_token_of_github_actions_can_not_ask_who_it_is(github: GitHub) -> None:
    github.comment(BODY, "mallory")
    publish(comments(github, "actions"), MARKER, BODY)
    publish(comments(github, "actions"), MARKER, f"{BODY} again")
    assert bodies(github) == [BODY, f"{BODY} again"]


def test_a_comment_whose_author_is_gone(github: GitHub) -> None:
    github.comment(BODY)["user"] = None
    github.comment(BODY)["body"] = None
    publish(comments(github), MARKER, BODY)
    assert len(github.comments) == 3


def test_the_token_goes_to_the_forge_alone(forge: Forge) -> None:
    others(forge, 150)
    evil = GitHub()
    page = forge.page
    forge.page = lambda request, size: _elsewhere(page(request, size), forge, evil)  # pyright: ignore[reportAttributeAccessIssue]
    publish(comments(forge), MARKER, BODY)
    evil.close()
    assert evil.requests == []
    assert [request.query.get("page") for request in forge.requests if request.query.get("per_page")] == [None, "2"]


def test_a_redirect_takes_no_token_elsewhere(forge: Forge) -> None:
    evil = GitHub()
    forge.answers = [Answer(307, "", {"Location": f"{evil.url}/user"})]
    with pytest.raises(ForgeRefused):
        publish(comments(forge), MARKER, BODY)
    evil.close()
    (request,) = evil.requests
    assert "personal" not in str(request.headers)


def _elsewhere(answer: Answer, forge: Forge, evil: Forge) -> Answer:
    answer.headers = {name: value.replace(forge.url, evil.url + forge.prefix) for name, value in answer.headers.items()}
    return answer


def test_an_app_may_do_no_more_than_comment(github: GitHub) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    github.app_key = key.public_key()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    secrets = {"GITHUB_APP_ID": "12345", "GITHUB_APP_PRIVATE_KEY": pem, "GITHUB_TOKEN": "reader"}
    publish(comments_of("github", github.url, "acme/shop", "42", secrets), MARKER, BODY)
    publish(comments_of("github", github.url, "acme/shop", "42", secrets), MARKER, f"{BODY} again")
    (granted, *_) = [request.body for request in github.requests if request.path.endswith("/access_tokens")]
    assert granted == {"repositories": ["shop"], "permissions": {"pull_requests": "write"}}
    assert [(comment["user"]["login"], comment["body"]) for comment in github.comments] == [
        ("reviews[bot]", f"{BODY} again")
    ]
    tokens = [request for request in github.requests if request.path.endswith("/access_tokens")]
    assert len(tokens) == 2

    github.app_permissions = {"metadata": "read"}
    with pytest.raises(ForgeRefused, match="permissions requested are not granted"):
        publish(comments_of("github", github.url, "acme/shop", "42", secrets), MARKER, BODY)
    github.app_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    with pytest.raises(ForgeRefused, match="does not know the token"):
        publish(comments_of("github", github.url, "acme/shop", "42", secrets), MARKER, BODY)
    for broken in ("no key", pem[:200]):
        with pytest.raises(ForgeRefused, match="private key is none"):
            publish(
                comments_of("github", github.url, "acme/shop", "42", secrets | {"GITHUB_APP_PRIVATE_KEY": broken}),
                MARKER,
                BODY,
            )


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(503, "<html>unicorn</html>"), None),
        (Answer(502, {"message": "Server Error"}), None),
        (Answer(429, {"message": "slow down"}, {"Retry-After": "7"}), 7),
        (Answer(403, {"message": "You have exceeded a secondary rate limit"}, {"Retry-After": "60"}), 60),
        (Answer(503, {}, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}), 0),
    ],
)
def test_what_passes_is_waited_for(forge: Forge, waits: list[float], answer: Answer, seconds: float | None) -> None:
    forge.answers = [answer]
    publish(comments(forge), MARKER, BODY)
    assert bodies(forge) == [BODY]
    assert len(waits) == 1
    assert seconds is None or waits == [seconds]


def test_a_used_up_rate_limit_is_waited_for_until_its_reset(github: GitHub, waits: list[float]) -> None:
    reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 30)}
    github.answers = [Answer(403, {"message": "API rate limit exceeded for user ID 1."}, reset)]
    publish(comments(github), MARKER, BODY)
    assert bodies(github) == [BODY]
    assert waits == [pytest.approx(30, abs=3)]


def test_a_rate_limit_that_lasts_is_said_at_once(github: GitHub, waits: list[float]) -> None:
    reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 3000)}
    github.answers = [Answer(403, {"message": "API rate limit exceeded"}, reset)]
    with pytest.raises(ForgeRefused, match=r"takes no more requests for (2999|3000) s .*API rate limit exceeded"):
        publish(comments(github), MARKER, BODY)
    assert waits == []


def test_a_write_whose_answer_was_lost_makes_no_second_comment(forge: Forge, waits: list[float]) -> None:
    forge.lost_writes = 1
    publish(comments(forge), MARKER, BODY)
    assert bodies(forge) == [BODY]
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("kind", "token", "message"),
    [
        ("github", "wrong", r"does not know the token \(HTTP 401 Bad credentials\)"),
        ("github", "reader", r"may not comment in acme/shop#42 \(HTTP 403 .*: give it .*pull-requests: write"),
        ("gitlab", "wrong", r"does not know the token \(HTTP 401 401 Unauthorized\)"),
        ("gitlab", "narrow", r"may not comment in acme/web/shop!42 \(HTTP 403 insufficient_scope\): .*scope `api`"),
    ],
)
def test_what_is_not_allowed_is_said_at_once(
    request: pytest.FixtureRequest, waits: list[float], kind: str, token: str, message: str
) -> None:
    with pytest.raises(ForgeRefused, match=message) as refused:
        publish(comments(request.getfixturevalue(kind), token), MARKER, BODY)
    assert waits == []
    assert token not in str(refused.value).replace("scope", "")


def test_what_is_not_there_is_said(github: GitHub, gitlab: GitLab) -> None:
    with pytest.raises(ForgeRefused, match=r"there is no acme/shop#43, or the token may not see it \(HTTP 404"):
        publish(comments_of("github", github.url, "acme/shop", "43", {"GITHUB_TOKEN": "personal"}), MARKER, BODY)
    with pytest.raises(ForgeRefused, match=r"there is no other/shop!42, or the token may not see it \(HTTP 404"):
        publish(comments_of("gitlab", gitlab.url, "other/shop", "42", {"GITLAB_TOKEN": "personal"}), MARKER, BODY)


def test_a_comment_that_is_too_long_is_refused(forge: Forge) -> None:
    most = comments(forge).most_characters
    publish(comments(forge), MARKER, "é" * most)
    with pytest.raises(ForgeRefused, match="too long"):
        publish(comments(forge), MARKER, "é" * (most + 1))


@pytest.mark.parametrize("body", ["<html>log in</html>", "[]", '{"id": "x"}', ""])
def test_what_is_no_forge_is_said(forge: Forge, body: str) -> None:
    forge.answers = [Answer(200, body)]
    with pytest.raises(ForgeRefused, match="not the forge's API: see that --api-url is right"):
        publish(comments(forge), MARKER, BODY)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "nonsense"])
def test_where_nothing_answers(waits: list[float], url: str) -> None:
    for name, token in (("github", "GITHUB_TOKEN"), ("gitlab", "GITLAB_TOKEN")):
        with pytest.raises(ForgeRefused, match=r"does not answer .*: see that --api-url is right"):
            publish(comments_of(name, url, "acme/shop", "42", {token: "secret"}), MARKER, BODY)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("name", "variable"), [("github", "GITHUB_TOKEN"), ("gitlab", "GITLAB_TOKEN")])
def test_without_credentials(name: Any, variable: str) -> None:
    for secrets in ({}, {variable: ""}):
        with pytest.raises(ForgeRefused, match=f"{variable} is not set"):
            comments_of(name, None, "acme/shop", "42", secrets)
