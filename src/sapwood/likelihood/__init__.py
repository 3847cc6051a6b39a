"""A model and token ids in, log-likelihoods out: the one place where texts are scored."""
