"""The embedded default: a small Korean world whose facts are known, and what is written and measured with it.

world        facts, relations and talk families as frozen values (tables.py reads and checks the files)
generator    write_sample: corpus, SFT, RM, PPO and the frozen test set in KoChatGPT's shape, with labelled dirt
judge        the oracle: correct, wrong, abstained or malformed; factual accuracy and hallucination rate
"""
