"""Postgres: the only engine and the only SQL."""
