"""Sapwood: continual pre-training that proves what was gained and what was kept."""

__version__ = "0.1.0"
