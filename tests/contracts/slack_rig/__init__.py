"""The Slack rig keeps Slack's promises, seen through Slack's own Python client."""
