"""A runtime without a network, driven step by step beside a model."""

from tests.staging import clock, look_ups_follow_each_other, quiet, stage

__all__ = ["clock", "look_ups_follow_each_other", "quiet", "stage"]
