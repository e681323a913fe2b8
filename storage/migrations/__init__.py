"""How the catalogue's tables came to be, one revision after another."""
