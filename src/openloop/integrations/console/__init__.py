"""The console: talk to an agent in a terminal."""
