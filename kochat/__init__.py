"""Train a Korean chat model the KoChatGPT way, and measure honestly what each step did."""

__version__ = "0.1.0.dev0"
