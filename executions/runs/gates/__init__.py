"""Gates: what is asked for before a wave, what people gave, and what they looked at."""
