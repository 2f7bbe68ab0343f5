"""Programs before and after the swap; a package, so that no other one of this name is imported."""
