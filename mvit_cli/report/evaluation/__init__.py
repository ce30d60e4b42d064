"""How right a network is, for people and programs."""
