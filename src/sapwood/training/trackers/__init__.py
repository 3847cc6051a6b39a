"""One module a tracker, each of which opens a `Backend` (`backend`). They are imported when a recipe asks for them."""
