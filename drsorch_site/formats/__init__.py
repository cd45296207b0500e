"""How Django's own pages write things."""
