"""What a difference of two models is worth: its interval, its p-value, and the smallest difference that could have been seen."""
