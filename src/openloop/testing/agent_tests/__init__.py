"""Running AgentTest manifests: the real runtime and database, rigs of the platforms, scripted tools."""

from openloop.testing.agent_tests.running import Ran, run_all

__all__ = ["Ran", "run_all"]
