"""Build logs that really failed, and the line that says why."""
