"""Rewards of answers: reward models and the centring of their scores."""
