"""Networks, the bundles that hold them, and the engine that runs them."""

from cxrscreen.model.bundle import ModelBundle, load_bundle

__all__ = ["ModelBundle", "load_bundle"]
