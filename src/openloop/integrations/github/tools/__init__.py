"""The tools an agent has on GitHub, a file for each resource; `github_toolset` is all of them."""
