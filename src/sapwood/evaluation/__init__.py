"""What a model predicts well before and after, and what the difference means."""
