"""Judging runs and folders of pictures: scores with their protocol, comparison, audit, report."""
