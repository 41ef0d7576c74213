"""Supervised fine-tuning: learn to answer prompts as the demonstrations do."""

from kochat.engine.stage import Stage

STAGE = Stage(name="sft", package=__name__, order=30)
