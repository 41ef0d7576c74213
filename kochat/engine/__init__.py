"""Code that all stages share: the base module, sums over ranks, optimizers, answers and their scores, the guard against NaN."""
