"""What a probability rests on: class-activation maps."""
