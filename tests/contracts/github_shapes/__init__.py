"""GitHub's official description of its REST API, and what it says of recorded calls."""
