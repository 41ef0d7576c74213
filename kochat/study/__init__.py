"""A study: a plan of runs on one data set, their answers scored alike, statistics, and one report."""
