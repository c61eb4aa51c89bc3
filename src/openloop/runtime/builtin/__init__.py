"""Toolsets that change our own rows."""
