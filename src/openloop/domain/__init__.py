"""The vocabulary: frozen values and pure rules, no I/O."""
