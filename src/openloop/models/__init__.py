"""The model gateway: the only importer of litellm."""
