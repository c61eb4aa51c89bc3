"""AgentDojo's worlds over JSON lines: one request on stdin, one answer on stdout.

This file runs in the environment that `environment.py` makes, where agentdojo is and OpenLoop is
not. It imports nothing of ours but `attacks`, which lies beside it.
"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import json
import pickle
import sys
import types
from functools import cached_property
from typing import Any

import agentdojo
from attacks import SCRIPTED

VERSION = "v1.2.2"


def _without_model_providers() -> None:
    """Keep agentdojo from importing the clients of four model providers: nothing here calls one."""
    pipeline = types.ModuleType("agentdojo.agent_pipeline")
    pipeline.__path__ = [f"{agentdojo.__path__[0]}/agent_pipeline"]
    unused = types.ModuleType("agentdojo.agent_pipeline.ground_truth_pipeline")
    unused.GroundTruthPipeline = object
    sys.modules[pipeline.__name__] = pipeline
    sys.modules[unused.__name__] = unused


_without_model_providers()

from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime  # noqa: E402
from agentdojo.task_suite.load_suites import get_suites  # noqa: E402
from pydantic_core import to_jsonable_python  # noqa: E402

SUITES = get_suites(VERSION)
PRISTINE = {
    name: pickle.dumps(suite.load_and_inject_default_environment({}))
    for name, suite in SUITES.items()
}


class World:
    """The environment of one user task: as it was before, as it is now, and the calls between.

    Made when it is looked at: where no call is made there is none.
    """

    def __init__(self, suite: str, user: str, injection: str | None) -> None:
        self.suite = SUITES[suite]
        self.user = self.suite.user_tasks[user]
        self.injection = self.suite.injection_tasks[injection] if injection else None
        self.runtime = FunctionsRuntime(self.suite.tools)
        self.trace: list[FunctionCall] = []

    @cached_property
    def before(self) -> Any:
        return self._fresh()

    @cached_property
    def now(self) -> Any:
        return self._fresh()

    def _fresh(self) -> Any:
        environment = pickle.loads(PRISTINE[self.suite.name])  # noqa: S301  # pickled above
        return self.user.init_environment(environment)

    def plan(self) -> dict[str, Any]:
        """The calls that solve the user's task, and those that reach the attacker's goal."""
        looked_at = self._fresh()  # to look at an e-mail is to mark it as read
        own = self.user.ground_truth(looked_at)
        theirs: list[Any] = []
        if self.injection is not None:
            theirs = self.injection.ground_truth(looked_at)
            scripted = SCRIPTED.get((self.suite.name, self.injection.ID))
            if scripted is not None:
                theirs = scripted(self.before)
        return {
            "user": [_as_call(call) for call in own],
            "attacker": [_as_call(call) for call in theirs],
            "answer": self.user.GROUND_TRUTH_OUTPUT,
        }

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Make a call; what it answers, or why it failed."""
        self.trace.append(FunctionCall(function=tool, args=arguments))
        result, error = self.runtime.run_function(self.now, tool, arguments)
        return {"error": error} if error else {"result": to_jsonable_python(result, fallback=str)}

    def check(self, task: Any, text: str) -> bool:
        """What the suite says of a task, user's or attacker's, when this was answered."""
        said = [{"type": "text", "content": text}]
        found = self.suite._check_task_result(  # what its own benchmark asks, too
            task, said, self.before, self.now, self.trace
        )
        return bool(found)


WORLDS: dict[str, World] = {}
PLANS: dict[tuple[str, str, str | None], dict[str, Any]] = {}
"""What each scene comes to: the same under every table and in every order."""


def answer(request: dict[str, Any]) -> Any:
    """Carry out one request."""
    match request:
        case {"do": "suites"}:
            return [_described(suite) for suite in SUITES.values()]
        case {"do": "open", "world": world, "suite": suite, "user": user, "injection": injection}:
            opened = WORLDS[world] = World(suite, user, injection)
            scene = (suite, user, injection)
            if scene not in PLANS:
                PLANS[scene] = opened.plan()
            return PLANS[scene]
        case {"do": "call", "world": world, "tool": tool, "arguments": arguments}:
            return WORLDS[world].call(tool, arguments)
        case {"do": "solved", "world": world, "text": text}:
            return WORLDS[world].check(WORLDS[world].user, text)
        case {"do": "reached", "world": world, "text": text}:
            return WORLDS[world].check(WORLDS[world].injection, text)
        case {"do": "close", "world": world}:
            return WORLDS.pop(world, None) is not None
        case _:
            message = f"There is no such request: {request}"
            raise ValueError(message)


def _described(suite: Any) -> dict[str, Any]:
    return {
        "name": suite.name,
        "tools": [
            {
                "name": function.name,
                "description": function.description,
                "parameters": function.parameters.model_json_schema(),
            }
            for function in suite.tools
        ],
        "user_tasks": {task.ID: task.PROMPT for task in suite.user_tasks.values()},
        "injection_tasks": [task.ID for task in suite.injection_tasks.values()],
    }


def _as_call(call: Any) -> dict[str, Any]:
    if isinstance(call, FunctionCall):
        return {"tool": call.function, "arguments": to_jsonable_python(dict(call.args))}
    tool, arguments = call
    return {"tool": tool, "arguments": arguments}


def main() -> None:
    """Answer until stdin ends; whatever a suite prints goes to stderr."""
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
