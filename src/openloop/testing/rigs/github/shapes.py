"""How GitHub writes what it knows as JSON, after `api.github.com.json` of `@octokit/openapi`."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from datetime import datetime

    from openloop.testing.rigs.github.rows import (
        ChangedFile,
        Comment,
        Issue,
        Label,
        Reaction,
        Repository,
        Role,
        User,
    )

Json = dict[str, object]

HTML_URL = "https://github.test"
"""Where people would look; `.test` never resolves (RFC 6761)."""


def written(moment: datetime) -> str:
    """GitHub's way to write a time: whole seconds and a Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def written_or_null(moment: datetime | None) -> str | None:
    """The same for a time that may not have come yet."""
    return None if moment is None else written(moment)


def node_id(kind: str, number: int) -> str:
    """A GraphQL node id: opaque, stable, one per thing."""
    return b64encode(f"{kind}:{number}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Shapes:
    """The JSON of every resource, with links that point at `api_url`."""

    api_url: str

    def user(self, user: User) -> Json:
        """`simple-user`."""
        url = f"{self.api_url}/users/{user.login}"
        return {
            "login": user.login,
            "id": user.id,
            "node_id": node_id("User", user.id),
            "avatar_url": f"{HTML_URL}/avatars/{user.id}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{HTML_URL}/{user.login}",
            "followers_url": f"{url}/followers",
            "following_url": f"{url}/following{{/other_user}}",
            "gists_url": f"{url}/gists{{/gist_id}}",
            "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
            "subscriptions_url": f"{url}/subscriptions",
            "organizations_url": f"{url}/orgs",
            "repos_url": f"{url}/repos",
            "events_url": f"{url}/events{{/privacy}}",
            "received_events_url": f"{url}/received_events",
            "type": user.kind,
            "user_view_type": "public",
            "site_admin": False,
        }

    def own_user(self, user: User) -> Json:
        """`private-user`, what `GET /user` answers."""
        return self.user(user) | {
            "user_view_type": "private",
            "name": None,
            "company": None,
            "blog": "",
            "location": None,
            "email": None,
            "hireable": None,
            "bio": None,
            "public_repos": 0,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": written(user.joined_at),
            "updated_at": written(user.joined_at),
            "private_gists": 0,
            "total_private_repos": 0,
            "owned_private_repos": 0,
            "disk_usage": 0,
            "collaborators": 0,
            "two_factor_authentication": True,
        }

    def public_user(self, user: User) -> Json:
        """`public-user`, what `GET /users/{username}` answers."""
        own = self.own_user(user)
        private = ("two_factor_authentication", "private_gists", "total_private_repos")
        more = ("owned_private_repos", "disk_usage", "collaborators")
        kept = {name: own[name] for name in own if name not in {*private, *more}}
        return kept | {"user_view_type": "public"}

    def reaction(self, reaction: Reaction) -> Json:
        """`reaction`."""
        return {
            "id": reaction.id,
            "node_id": node_id("Reaction", reaction.id),
            "user": self.user(reaction.author),
            "content": reaction.content,
            "created_at": written(reaction.made_at),
        }

    def repository(self, repository: Repository, viewer: User | None) -> Json:
        """`repository`, as it stands inside a pull request."""
        url = f"{self.api_url}/repos/{repository.full_name}"
        html_url = f"{HTML_URL}/{repository.full_name}"
        open_issues = sum(issue.state == "open" for issue in repository.issues.values())
        return (
            _repository_links(url)
            | {
                "id": repository.id,
                "node_id": node_id("Repository", repository.id),
                "name": repository.name,
                "full_name": repository.full_name,
                "owner": self.user(repository.owner),
                "private": repository.private,
                "visibility": "private" if repository.private else "public",
                "html_url": html_url,
                "url": url,
                "git_url": f"git://github.test/{repository.full_name}.git",
                "ssh_url": f"git@github.test:{repository.full_name}.git",
                "clone_url": f"{html_url}.git",
                "svn_url": html_url,
                "mirror_url": None,
                "homepage": None,
                "description": None,
                "language": None,
                "license": None,
                "fork": repository.is_fork,
                "size": 1,
                "default_branch": repository.default_branch,
                "has_issues": repository.has_issues,
                "has_projects": False,
                "has_wiki": False,
                "has_pages": False,
                "has_downloads": False,
                "has_discussions": False,
                "archived": repository.archived,
                "disabled": False,
                "created_at": written(repository.created_at),
                "updated_at": written(repository.created_at),
                "pushed_at": written(repository.created_at),
                "permissions": {
                    role: repository.allows(viewer, needed) for role, needed in _PERMISSIONS
                },
            }
            | dict.fromkeys(("open_issues", "open_issues_count"), open_issues)
            | dict.fromkeys(
                ("forks", "forks_count", "stargazers_count", "watchers", "watchers_count"), 0
            )
        )

    def full_repository(self, repository: Repository, viewer: User | None) -> Json:
        """`full-repository`, what `GET /repos/{owner}/{repo}` answers."""
        return self.repository(repository, viewer) | {"network_count": 0, "subscribers_count": 0}

    def label(self, repository: Repository, label: Label) -> Json:
        """`label`."""
        return {
            "id": label.id,
            "node_id": node_id("Label", label.id),
            "url": f"{self.api_url}/repos/{repository.full_name}/labels/{quote(label.name)}",
            "name": label.name,
            "description": "",
            "color": label.color,
            "default": False,
        }

    def issue(self, repository: Repository, issue: Issue) -> Json:
        """`issue`; a pull request has a `pull_request` beside."""
        url = f"{self.api_url}/repos/{repository.full_name}/issues/{issue.number}"
        kind = "issues" if issue.pull is None else "pull"
        html_url = f"{HTML_URL}/{repository.full_name}/{kind}/{issue.number}"
        shape = self._common(repository, issue) | {
            "id": issue.id,
            "node_id": node_id("Issue", issue.id),
            "url": url,
            "repository_url": f"{self.api_url}/repos/{repository.full_name}",
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "timeline_url": f"{url}/timeline",
            "html_url": html_url,
            "state_reason": "completed" if issue.state == "closed" else None,
            "comments": len(issue.comments),
            "closed_by": None,
            "performed_via_github_app": None,
        }
        if issue.pull is not None:
            shape["draft"] = issue.pull.draft
            shape["pull_request"] = {
                "url": f"{self.api_url}/repos/{repository.full_name}/pulls/{issue.number}",
                "html_url": html_url,
                "diff_url": f"{html_url}.diff",
                "patch_url": f"{html_url}.patch",
                "merged_at": written_or_null(issue.pull.merged_at),
            }
        return shape

    def comment(self, repository: Repository, issue: Issue, comment: Comment) -> Json:
        """`issue-comment`."""
        issues_url = f"{self.api_url}/repos/{repository.full_name}/issues"
        kind = "issues" if issue.pull is None else "pull"
        page = f"{HTML_URL}/{repository.full_name}/{kind}/{issue.number}"
        return {
            "id": comment.id,
            "node_id": node_id("IssueComment", comment.id),
            "url": f"{issues_url}/comments/{comment.id}",
            "html_url": f"{page}#issuecomment-{comment.id}",
            "issue_url": f"{issues_url}/{issue.number}",
            "body": comment.body,
            "user": self.user(comment.author),
            "created_at": written(comment.created_at),
            "updated_at": written(comment.updated_at),
            "author_association": association(repository, comment.author),
            "performed_via_github_app": None,
        }

    def pull(self, repository: Repository, issue: Issue, viewer: User | None) -> Json:
        """`pull-request-simple`, as it stands in a list."""
        if issue.pull is None:
            message = f"#{issue.number} is not a pull request"
            raise ValueError(message)
        url = f"{self.api_url}/repos/{repository.full_name}/pulls/{issue.number}"
        issue_url = f"{self.api_url}/repos/{repository.full_name}/issues/{issue.number}"
        html_url = f"{HTML_URL}/{repository.full_name}/pull/{issue.number}"
        links = {
            "comments": f"{issue_url}/comments",
            "commits": f"{url}/commits",
            "statuses": f"{self.api_url}/repos/{repository.full_name}/statuses/"
            f"{issue.pull.head_sha}",
            "review_comments": f"{url}/comments",
            "review_comment": f"{self.api_url}/repos/{repository.full_name}"
            "/pulls/comments{/number}",
        }
        whole = {"self": url, "html": html_url, "issue": issue_url} | links
        return (
            self._common(repository, issue)
            | {f"{name}_url": link for name, link in links.items()}
            | {
                "id": issue.pull.id,
                "node_id": node_id("PullRequest", issue.pull.id),
                "url": url,
                "html_url": html_url,
                "diff_url": f"{html_url}.diff",
                "patch_url": f"{html_url}.patch",
                "issue_url": issue_url,
                "merged_at": written_or_null(issue.pull.merged_at),
                "merge_commit_sha": None,
                "requested_reviewers": list[Json](),
                "requested_teams": list[Json](),
                "head": self._branch(
                    issue.pull.fork or repository, issue.pull.head, issue.pull.head_sha, viewer
                ),
                "base": self._branch(
                    repository,
                    issue.pull.target or repository.default_branch,
                    issue.pull.base_sha,
                    viewer,
                ),
                "_links": {name: {"href": link} for name, link in whole.items()},
                "auto_merge": None,
                "draft": issue.pull.draft,
            }
        )

    def full_pull(self, repository: Repository, issue: Issue, viewer: User | None) -> Json:
        """`pull-request`, what `GET .../pulls/{number}` answers."""
        shape = self.pull(repository, issue, viewer)
        files = issue.pull.files if issue.pull is not None else ()
        merged = issue.pull is not None and issue.pull.merged_at is not None
        return shape | {
            "merged": merged,
            "mergeable": None if merged else True,
            "rebaseable": None if merged else True,
            "mergeable_state": "unknown" if merged else "clean",
            "merged_by": None,
            "comments": len(issue.comments),
            "review_comments": len(issue.pull.review_comments) if issue.pull is not None else 0,
            "maintainer_can_modify": False,
            "commits": 1,
            "additions": sum(file.additions for file in files),
            "deletions": sum(file.deletions for file in files),
            "changed_files": len(files),
        }

    def changed_file(self, repository: Repository, issue: Issue, file: ChangedFile) -> Json:
        """`diff-entry` of a pull request."""
        ref = issue.pull.head_sha if issue.pull is not None else ""
        return self.file_at(repository, ref, file)

    def file_at(self, repository: Repository, ref: str, file: ChangedFile) -> Json:
        """`diff-entry`; GitHub leaves `patch` out for binary and very large files."""
        html_url = f"{HTML_URL}/{repository.full_name}"
        path = quote(file.filename)
        contents = f"{self.api_url}/repos/{repository.full_name}/contents/{path}"
        shape: Json = {
            "sha": f"{len(file.filename):040x}",
            "filename": file.filename,
            "status": file.status,
            "additions": file.additions,
            "deletions": file.deletions,
            "changes": file.additions + file.deletions,
            "blob_url": f"{html_url}/blob/{ref}/{path}",
            "raw_url": f"{html_url}/raw/{ref}/{path}",
            "contents_url": f"{contents}?ref={ref}",
        }
        return shape if file.patch is None else shape | {"patch": file.patch}

    def permission(self, repository: Repository, user: User) -> Json:
        """`repository-collaborator-permission`; `permission` knows four words, the role six."""
        role = repository.role_of(user)
        coarse: dict[Role, str] = {"triage": "read", "maintain": "write"}
        return {
            "permission": coarse.get(role, role),
            "role_name": role,
            "user": self.user(user)
            | {
                "permissions": {
                    name: repository.allows(user, needed) for name, needed in _PERMISSIONS
                },
                "role_name": role,
            },
        }

    def _common(self, repository: Repository, issue: Issue) -> Json:
        people = [self.user(person) for person in issue.assignees]
        return {
            "number": issue.number,
            "title": issue.title,
            "body": issue.body,
            "user": self.user(issue.author),
            "state": issue.state,
            "labels": [self.label(repository, label) for label in issue.labels],
            "assignee": people[0] if people else None,
            "assignees": people,
            "milestone": None,
            "locked": issue.locked,
            "active_lock_reason": None,
            "created_at": written(issue.created_at),
            "updated_at": written(issue.updated_at),
            "closed_at": written_or_null(issue.closed_at),
            "author_association": association(repository, issue.author),
        }

    def _branch(self, repository: Repository, ref: str, sha: str, viewer: User | None) -> Json:
        return {
            "label": f"{repository.owner.login}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": self.user(repository.owner),
            "repo": self.repository(repository, viewer),
        }


_PERMISSIONS: tuple[tuple[str, Role], ...] = (
    ("admin", "admin"),
    ("maintain", "maintain"),
    ("push", "write"),
    ("triage", "triage"),
    ("pull", "read"),
)

_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}


def _repository_links(url: str) -> Json:
    return {name: f"{url}{rest}" for name, rest in _REPOSITORY_LINKS.items()}


def association(repository: Repository, user: User) -> str:
    """GitHub's hint about an author; it is no proof of any right."""
    if user.id == repository.owner.id:
        return "OWNER"
    return "COLLABORATOR" if repository.role_of(user) in {"write", "maintain", "admin"} else "NONE"
