"""Pretrained networks without their tops: which there are, how they are built and read."""
