"""What turns a queued run into an answer."""
