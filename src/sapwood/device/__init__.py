"""The machine: memory, chips, precision, ranks."""
