"""Metrics from the tables `images`, `annotations` and `predictions`: no torch, no pictures."""
