"""Studies: a plan of runs on one data set, scores of their answers by one reward model, statistics, and a report."""
