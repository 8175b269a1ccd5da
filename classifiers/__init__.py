"""Cached features to heads, their choice, evaluation and comparison."""
