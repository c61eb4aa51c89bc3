"""Whether a text is still its author's own: asked of GitHub, since whoever may write may edit.

A webhook brings a text as it was written. A list brings it as it is now, and the REST API does not
say who has changed it; GraphQL does. What somebody else has changed is nobody's request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.errors import Ambiguous, Unavailable
from openloop.integrations.github.exchange import Endpoint
from openloop.integrations.github.payloads import is_given, part_at, parts_at, text_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.integrations.github.exchange import Exchange
    from openloop.integrations.github.names import RepoName

MOST_AT_ONCE = 100

_QUERY = """
query($ids: [ID!]!) {
  nodes(ids: $ids) {
    id
    ... on Comment { author { login } editor { login } lastEditedAt }
  }
}
"""


async def own_texts(graphql: Exchange, repo: RepoName, nodes: Sequence[str]) -> frozenset[str]:
    """Those of the nodes whose text nobody but its author has written.

    Raises:
        GitHubError: it cannot be found out at the moment
    """
    own: set[str] = set()
    for begin in range(0, len(nodes), MOST_AT_ONCE):
        some = list(nodes[begin : begin + MOST_AT_ONCE])
        content = {"query": _QUERY, "variables": {"ids": some}}
        try:
            said = await graphql.write(dict[str, object], Endpoint("/graphql", repo), content)
        except Ambiguous as lost:
            raise Unavailable(str(lost)) from lost  # it was only a question
        for node in parts_at(said, "data", "nodes"):
            author, editor = text_at(node, "author", "login"), text_at(node, "editor", "login")
            was_edited = is_given(node, "lastEditedAt") or bool(part_at(node, "editor"))
            if author and (not was_edited or author == editor):
                own.add(text_at(node, "id"))
    return frozenset(own)
