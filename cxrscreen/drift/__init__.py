"""Has anything changed since the reference? Pure functions of scores and counts."""
