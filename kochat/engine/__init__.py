"""What all stages share: the module's base, sums over ranks, optimizers, answers and their scores, the guard against NaN."""
