"""One process that holds the model, and the interfaces by which everyone else asks it."""
