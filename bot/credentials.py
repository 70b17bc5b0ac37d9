"""Which forge a comment goes to, and as whom: from options, the CI's variables and the environment's secrets.

Secrets are never options: every process of a machine may read another's arguments.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot import github, gitlab
from bot.errors import ForgeRefused
from bot.forge import Comments
from bot.job import Forge


def comments_of(
    forge: Forge, api_url: str | None, repository: str, number: str, environment: Mapping[str, str]
) -> Comments:
    """Return the comments of a pull request.

    Args:
        forge: where it is.
        api_url: the forge's API, if not the public one.
        repository: as the forge has it.
        number: the pull request's.
        environment: GITHUB_APP_ID with GITHUB_APP_PRIVATE_KEY, or GITHUB_TOKEN; or GITLAB_TOKEN.

    Raises:
        ForgeRefused: there are no credentials.
    """
    if forge == "gitlab":
        token = environment.get("GITLAB_TOKEN")
        if not token:
            raise ForgeRefused(
                "GITLAB_TOKEN is not set: set it to a project access token with the scope `api` "
                "(a job's own token may not write notes)"
            )
        return gitlab.GitLabComments(api_url or gitlab.API_URL, repository, number, token)
    url = api_url or github.API_URL
    app, key = environment.get("GITHUB_APP_ID"), environment.get("GITHUB_APP_PRIVATE_KEY")
    if app and key:
        return github.GitHubComments(url, repository, number, github.AppCredentials(url, app, key, repository))
    token = environment.get("GITHUB_TOKEN")
    if not token:
        raise ForgeRefused(
            "GITHUB_TOKEN is not set, nor GITHUB_APP_ID with GITHUB_APP_PRIVATE_KEY: in GitHub Actions, "
            "give the step `env: {GITHUB_TOKEN: ${{ github.token }}}`"
        )
    return github.GitHubComments(url, repository, number, token)
