"""Every change of state, as verbs; one transaction each."""
