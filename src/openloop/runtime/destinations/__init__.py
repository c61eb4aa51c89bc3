"""Places outside of the database that keep checkpoints: folders, git repositories, webhooks."""
