"""Benches: every figure that OpenLoop publishes, measured on the product as it is installed."""
