"""A model reference in; a Hugging Face directory, a tokenizer and a torch model out."""
