"""One module a noun. What they print for people is in `display`; Rich is imported there, and only when it is used."""
