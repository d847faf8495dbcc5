"""Metrics of sentences: functions of lists of tokens or of strings."""
