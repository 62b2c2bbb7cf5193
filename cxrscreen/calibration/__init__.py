"""From a logit to a decision: probability, operating point."""
