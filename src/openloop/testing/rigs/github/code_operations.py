"""Commits, comparisons, files and trees."""

from __future__ import annotations

from base64 import encodebytes
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from openloop.testing.rigs.github import answers
from openloop.testing.rigs.github.answers import Answer
from openloop.testing.rigs.github.asked import Asked, Route, number_in, page_of
from openloop.testing.rigs.github.commits import changes
from openloop.testing.rigs.github.rows import sha_of
from openloop.testing.rigs.github.shapes import HTML_URL, node_id, written

if TYPE_CHECKING:
    from openloop.testing.rigs.github.rows import ChangedFile, Commit, Repository
    from openloop.testing.rigs.github.shapes import Json, Shapes

COMPARED_FILES = 300
INLINE_BYTES = 1_000_000
TREE_ENTRIES = 100_000


def list_branches_at(asked: Asked) -> Answer:
    """The branches that end with a commit."""
    repository, commit = asked.repository, find_commit(asked, asked.part("commit_sha"))
    url = f"{asked.shapes.api_url}/repos/{repository.full_name}/commits/{commit.sha}"
    found: list[Json] = [
        {"name": name, "commit": {"sha": sha, "url": url}, "protected": False}
        for name, sha in repository.history.branches.items()
        if sha == commit.sha
    ]
    return Answer(200, found)


def list_commits(asked: Asked) -> Answer:
    repository = asked.repository
    if not repository.history.commits:
        raise answers.Refusal(answers.failure(409, "Git Repository is empty."))
    tip = find_commit(asked, asked.query.get("sha", repository.default_branch))
    path, since = asked.query.get("path"), asked.since()
    until = asked.query.get("until")
    found = [
        commit
        for commit in repository.history.behind(tip)
        if (path is None or _touches(repository, commit, path))
        and (since is None or commit.made_at >= since)
        and (until is None or commit.made_at <= datetime.fromisoformat(until))
    ]
    return page_of(asked, found, lambda one: commit_shape(asked.shapes, repository, one))


def get_commit(asked: Asked) -> Answer:
    """With its files, a page of them."""
    repository, commit = asked.repository, find_commit(asked, asked.part("ref"))
    files = [*changes(repository.history.before(commit), commit.files)]
    page = page_of(asked, files, lambda one: asked.shapes.file_at(repository, commit.sha, one))
    added, removed = sum(one.additions for one in files), sum(one.deletions for one in files)
    shape = commit_shape(asked.shapes, repository, commit) | {
        "stats": {"additions": added, "deletions": removed, "total": added + removed},
        "files": page.content,
    }
    return Answer(200, shape, page.headers)


def list_pulls_of(asked: Asked) -> Answer:
    """The pull requests that a commit belongs to."""
    repository, commit = asked.repository, find_commit(asked, asked.part("commit_sha"))
    found = [
        issue
        for issue in repository.issues.values()
        if issue.pull is not None and issue.pull.head_sha == commit.sha
    ]
    return page_of(asked, found, lambda one: asked.shapes.pull(repository, one, asked.viewer))


def compare(asked: Asked) -> Answer:
    repository, shapes = asked.repository, asked.shapes
    older, dots, newer = asked.part("basehead").partition("...")
    if not dots:
        raise answers.not_found()
    base, head = find_commit(asked, older), find_commit(asked, newer)
    history = repository.history
    in_base = {one.sha for one in history.behind(base)}
    in_head = {one.sha for one in history.behind(head)}
    ahead = [one for one in history.behind(head) if one.sha not in in_base][::-1]
    behind = [one for one in history.behind(base) if one.sha not in in_head]
    common = next((one for one in history.behind(head) if one.sha in in_base), None)
    if common is None:
        raise answers.not_found()
    status = ("diverged" if behind else "ahead") if ahead else "behind" if behind else "identical"
    page = page_of(asked, ahead, lambda one: commit_shape(shapes, repository, one))
    files = [*changes(common.files, head.files)][:COMPARED_FILES]
    url = f"{shapes.api_url}/repos/{repository.full_name}/compare/{base.sha}...{head.sha}"
    html_url = f"{HTML_URL}/{repository.full_name}/compare/{base.sha}...{head.sha}"
    shape: Json = {
        "url": url,
        "html_url": html_url,
        "permalink_url": html_url,
        "diff_url": f"{html_url}.diff",
        "patch_url": f"{html_url}.patch",
        "base_commit": commit_shape(shapes, repository, base),
        "merge_base_commit": commit_shape(shapes, repository, common),
        "status": status,
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "commits": page.content,
    }
    if number_in(asked.query.get("page"), 1) == 1:
        shape["files"] = [shapes.file_at(repository, head.sha, one) for one in files]
    return Answer(200, shape, page.headers)


def get_content(asked: Asked) -> Answer:
    """A file, or the entries of a folder."""
    repository = asked.repository
    ref = asked.query.get("ref", repository.default_branch)
    commit, path = find_commit(asked, ref), asked.part("path").strip("/")
    content = commit.files.get(path)
    if content is not None:
        return Answer(200, _file_shape(asked.shapes, repository, ref, path, content))
    below = f"{path}/" if path else ""
    names = {
        name.removeprefix(below).split("/")[0] for name in commit.files if name.startswith(below)
    }
    if not names:
        raise answers.not_found()
    return Answer(
        200,
        [
            _entry_shape(asked.shapes, repository, ref, f"{below}{name}", commit)
            for name in sorted(names)
        ],
    )


def get_tree(asked: Asked) -> Answer:
    """Below a branch, tag or commit; with any `recursive` also what is in folders."""
    repository, shapes = asked.repository, asked.shapes
    commit = find_commit(asked, asked.part("tree_sha"))
    paths = set(commit.files)
    for path in commit.files:
        parts = path.split("/")
        paths |= {"/".join(parts[:count]) for count in range(1, len(parts))}
    if "recursive" not in asked.query:
        paths = {path for path in paths if "/" not in path}
    url = f"{shapes.api_url}/repos/{repository.full_name}/git"
    entries = [_tree_entry(url, commit, path) for path in sorted(paths)]
    return Answer(
        200,
        {
            "sha": commit.tree_sha,
            "url": f"{url}/trees/{commit.tree_sha}",
            "tree": entries[:TREE_ENTRIES],
            "truncated": len(entries) > TREE_ENTRIES,
        },
    )


def find_commit(asked: Asked, ref: str) -> Commit:
    """The commit that a branch or a name of a commit stands for."""
    found = asked.repository.history.find(ref)
    if found is None:
        raise answers.Refusal(answers.failure(404, "Not Found"))
    return found


def commit_shape(shapes: Shapes, repository: Repository, commit: Commit) -> Json:
    """`commit`, as it stands in a list."""
    url = f"{shapes.api_url}/repos/{repository.full_name}"
    html_url = f"{HTML_URL}/{repository.full_name}"
    person = {
        "name": commit.author.login,
        "email": f"{commit.author.id}@users.noreply.github.test",
        "date": written(commit.made_at),
    }
    return {
        "url": f"{url}/commits/{commit.sha}",
        "sha": commit.sha,
        "node_id": node_id("Commit", int(commit.sha[:12], 16)),
        "html_url": f"{html_url}/commit/{commit.sha}",
        "comments_url": f"{url}/commits/{commit.sha}/comments",
        "commit": {
            "url": f"{url}/git/commits/{commit.sha}",
            "author": person,
            "committer": person,
            "message": commit.message,
            "comment_count": 0,
            "tree": {"sha": commit.tree_sha, "url": f"{url}/git/trees/{commit.tree_sha}"},
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "payload": None,
                "signature": None,
                "verified_at": None,
            },
        },
        "author": shapes.user(commit.author),
        "committer": shapes.user(commit.author),
        "parents": [
            {
                "sha": sha,
                "url": f"{url}/commits/{sha}",
                "html_url": f"{html_url}/commit/{sha}",
            }
            for sha in commit.parents
        ],
    }


def _touches(repository: Repository, commit: Commit, path: str) -> bool:
    changed: tuple[ChangedFile, ...] = (*changes(repository.history.before(commit), commit.files),)
    return any(one.filename == path or one.filename.startswith(f"{path}/") for one in changed)


def _file_shape(
    shapes: Shapes, repository: Repository, ref: str, path: str, content: bytes
) -> Json:
    """`content-file`; above a megabyte without its content."""
    is_inline = len(content) <= INLINE_BYTES
    return _links(shapes, repository, ref, path, is_file=True) | {
        "type": "file",
        "size": len(content),
        "sha": sha_of(content),
        "encoding": "base64" if is_inline else "none",
        "content": encodebytes(content).decode() if is_inline else "",
    }


def _entry_shape(
    shapes: Shapes, repository: Repository, ref: str, path: str, commit: Commit
) -> Json:
    """An item of `content-directory`."""
    content = commit.files.get(path)
    return _links(shapes, repository, ref, path, is_file=content is not None) | {
        "type": "dir" if content is None else "file",
        "size": 0 if content is None else len(content),
        "sha": sha_of(path.encode() if content is None else content),
    }


def _links(shapes: Shapes, repository: Repository, ref: str, path: str, *, is_file: bool) -> Json:
    kind = "blob" if is_file else "tree"
    url = f"{shapes.api_url}/repos/{repository.full_name}"
    page = f"{HTML_URL}/{repository.full_name}"
    links = {
        "self": f"{url}/contents/{quote(path)}?ref={quote(ref, safe='')}",
        "git": f"{url}/git/{kind}s/{sha_of(path.encode())}",
        "html": f"{page}/{kind}/{quote(ref)}/{quote(path)}",
    }
    return {
        "name": path.rpartition("/")[2],
        "path": path,
        "url": links["self"],
        "git_url": links["git"],
        "html_url": links["html"],
        "download_url": f"{page}/raw/{quote(ref)}/{quote(path)}" if is_file else None,
        "_links": links,
    }


def _tree_entry(url: str, commit: Commit, path: str) -> Json:
    content = commit.files.get(path)
    if content is None:
        sha = sha_of(path.encode())
        return {
            "path": path,
            "mode": "040000",
            "type": "tree",
            "sha": sha,
            "url": f"{url}/trees/{sha}",
        }
    sha = sha_of(content)
    return {
        "path": path,
        "mode": "100644",
        "type": "blob",
        "sha": sha,
        "size": len(content),
        "url": f"{url}/blobs/{sha}",
    }


_REPO = "/repos/{owner}/{repo}"
_CONTENTS = ("contents",)

CODE_ROUTES: tuple[Route, ...] = (
    Route("GET", f"{_REPO}/commits", _CONTENTS, "read", list_commits),
    Route("GET", f"{_REPO}/commits/{{ref}}", _CONTENTS, "read", get_commit),
    Route(
        "GET", f"{_REPO}/commits/{{commit_sha}}/pulls", ("pull_requests",), "read", list_pulls_of
    ),
    Route(
        "GET",
        f"{_REPO}/commits/{{commit_sha}}/branches-where-head",
        _CONTENTS,
        "read",
        list_branches_at,
    ),
    Route("GET", f"{_REPO}/compare/{{basehead}}", _CONTENTS, "read", compare),
    Route("GET", f"{_REPO}/contents/{{path}}", _CONTENTS, "read", get_content),
    Route("GET", f"{_REPO}/git/trees/{{tree_sha}}", _CONTENTS, "read", get_tree),
)
