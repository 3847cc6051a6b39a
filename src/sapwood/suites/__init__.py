"""Benchmarks: tasks, suites, prompts, evaluators, results of every item."""
