"""Slack's official types, and what they say of recorded calls and deliveries."""
