"""The decided stream as files for other trainers."""
