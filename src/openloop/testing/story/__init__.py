"""The demo's story: who plays in it, what they do, how it is told, and what has to be true."""
