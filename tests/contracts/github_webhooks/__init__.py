"""GitHub's own examples of webhook payloads, and what we make of each."""
