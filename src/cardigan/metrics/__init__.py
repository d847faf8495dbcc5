"""Metrics: functions of features, logits or samples; they know nothing of runs, files or networks."""
