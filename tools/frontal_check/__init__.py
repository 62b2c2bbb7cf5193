"""Training and evaluation of the frontal check: ``python -m tools.frontal_check``."""
