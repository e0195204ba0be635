"""How costs grow: with clients, with requests, with databases."""
