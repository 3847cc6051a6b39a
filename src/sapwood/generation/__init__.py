"""Prompts in, completions out, from any server that speaks OpenAI's protocol; nothing is ever asked twice."""
