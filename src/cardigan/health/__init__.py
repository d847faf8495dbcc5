"""Watching a game: signals, what they mean, and what helps."""
