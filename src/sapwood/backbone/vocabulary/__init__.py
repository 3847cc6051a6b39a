"""A model's vocabulary: how well it fits some texts, and how it is extended by pieces learned from them."""
