"""`auth.*`, `bots.*`, `team.*`, `users.*`, `usergroups.*`: who is who."""

from openloop.testing.rigs.slack.arguments import Arguments, Refused, page
from openloop.testing.rigs.slack.methods.method import Method, require_scope
from openloop.testing.rigs.slack.people import Person
from openloop.testing.rigs.slack.wire import Json
from openloop.testing.rigs.slack.workspace import Workspace


def auth_test(slack: Workspace, _arguments: Arguments) -> Json:
    return {
        "ok": True,
        "url": f"https://{slack.domain}.slack.com/",
        "team": slack.domain.title(),
        "user": slack.bot.name,
        "team_id": slack.team_id,
        "user_id": slack.bot.id,
        "bot_id": slack.bot.bot_id,
        "is_enterprise_install": False,
    }


def bot(slack: Workspace, arguments: Arguments) -> Json:
    wanted = arguments.text("bot")
    for person in slack.people:
        if person.bot_id is not None and person.bot_id == wanted:
            return {
                "ok": True,
                "bot": {
                    "id": person.bot_id,
                    "deleted": False,
                    "name": person.name,
                    "updated": 1_700_000_000,
                    "app_id": person.app_id,
                    "user_id": person.id,
                    "icons": {},
                },
            }
    raise Refused("bot_not_found")


def team(slack: Workspace, _arguments: Arguments) -> Json:
    described = {
        "id": slack.team_id,
        "name": slack.domain.title(),
        "domain": slack.domain,
        "url": f"https://{slack.domain}.slack.com/",
        "email_domain": "",
        "icon": {"image_default": True},
    }
    return {"ok": True, "team": described}


def user(slack: Workspace, arguments: Arguments) -> Json:
    person = slack.people.find(arguments.required("user"))
    if person is None:
        raise Refused("user_not_found")
    return {"ok": True, "user": _shown(slack, person)}


def list_users(slack: Workspace, arguments: Arguments) -> Json:
    people, cursor = page(slack.people, arguments, default=1000, most=1000)
    return {
        "ok": True,
        "members": [_shown(slack, person) for person in people],
        "response_metadata": {"next_cursor": cursor},
    }


def lookup_by_email(slack: Workspace, arguments: Arguments) -> Json:
    """Find a person; people who left are not found."""
    wanted = arguments.required("email").casefold()
    for person in slack.people:
        if (person.email or "").casefold() == wanted and person.kind != "deactivated":
            return {"ok": True, "user": _shown(slack, person)}
    raise Refused("users_not_found")


def list_usergroups(slack: Workspace, arguments: Arguments) -> Json:
    groups = [
        group.as_json(include_users=arguments.flag("include_users"))
        for group in slack.usergroups
        if arguments.flag("include_disabled") or not group.disabled
    ]
    return {"ok": True, "usergroups": groups}


def usergroup_members(slack: Workspace, arguments: Arguments) -> Json:
    group = slack.usergroups.find(arguments.required("usergroup"))
    if group is None or (group.disabled and not arguments.flag("include_disabled")):
        raise Refused("no_such_subteam")
    return {"ok": True, "users": list(group.members)}


def _shown(slack: Workspace, person: Person) -> Json:
    return person.as_json(with_email="users:read.email" in slack.scopes)


def _lookup(slack: Workspace, arguments: Arguments) -> Json:
    require_scope(slack, "users:read.email")
    return lookup_by_email(slack, arguments)


METHODS = {
    "auth.test": Method(run=auth_test, writes=True),
    "bots.info": Method(run=bot, scope="users:read"),
    "team.info": Method(run=team, scope="team:read"),
    "users.info": Method(run=user, scope="users:read"),
    "users.list": Method(run=list_users, scope="users:read"),
    "users.lookupByEmail": Method(run=_lookup),
    "usergroups.list": Method(run=list_usergroups, scope="usergroups:read"),
    "usergroups.users.list": Method(run=usergroup_members, scope="usergroups:read"),
}
