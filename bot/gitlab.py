"""GitLab's side of the comment: a note on a merge request, on gitlab.com or an installation of one's own."""

from __future__ import annotations

from urllib.parse import quote

from pydantic import BaseModel

from bot.forge import Api, Comment

API_URL = "https://gitlab.com/api/v4"


class _Account(BaseModel):
    id: int


class _Note(BaseModel):
    id: int
    body: str
    author: _Account


class GitLabComments:
    """The notes of a merge request (https://docs.gitlab.com/api/notes/#merge-requests).

    Args:
        api_url: of the forge.
        repository: the project's path, `group/name` with as many groups as there are.
        number: the merge request's, within its project.
        token: of a person, a group or a project; a job's own may not write notes.
    """

    most_characters = 1_000_000
    needs = "the scope `api` and the role Reporter"

    def __init__(self, api_url: str, repository: str, number: str, token: str) -> None:
        self.place = f"{repository}!{number}"
        self._path = f"/projects/{quote(repository, safe='')}/merge_requests/{number}/notes"
        self._api = Api(api_url, {"Authorization": f"Bearer {token}"})

    def find(self, marker: str) -> Comment | None:
        """Return our first note that begins with `marker`."""
        account = self._api.call("GET", "/user", _Account).id
        for entry in self._api.pages(f"{self._path}?sort=asc&order_by=created_at&per_page=100", _Note):
            if entry.author.id == account and entry.body.startswith(marker):
                return _comment(entry)
        return None

    def create(self, body: str) -> Comment:
        """Write a new note."""
        return _comment(self._api.call("POST", self._path, _Note, {"body": body}))

    def update(self, comment: Comment, body: str) -> Comment:
        """Change a note of ours."""
        return _comment(self._api.call("PUT", f"{self._path}/{comment.id}", _Note, {"body": body}))


def _comment(entry: _Note) -> Comment:
    return Comment(entry.id, entry.body, "")
