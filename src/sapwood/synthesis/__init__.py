"""Documents in, verified question-answer documents out."""
