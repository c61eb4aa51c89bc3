"""AgentDojo's tasks and attacks against the product's gate; docs/reference/guarantees.md reads it."""
