"""Decoders of compressed frames, and what they keep quiet about."""
