"""Model, optimizer, schedule, the loop, checkpoints, ranks."""
