"""OpenLoop: the self-hosted control plane and runtime for team AI agents."""

__version__ = "0.1.0"
