"""The guests: one folder per platform."""
