"""What `openloop init` does: ask, look up, write."""
