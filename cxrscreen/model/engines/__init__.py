"""Engines: what runs a network, and in which arithmetic.

Each is a class with ``logits``; :class:`cxrscreen.model.predictor.Predictor` takes the one that
a bundle is opened with. Libraries are imported by the engine that needs them.
"""
