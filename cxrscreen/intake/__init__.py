"""From a path to pixels: find the inputs, read the header, build the radiograph."""

from cxrscreen.intake.discover import as_paths, discover
from cxrscreen.intake.reader import OpenedImage, open_image

__all__ = ["OpenedImage", "as_paths", "discover", "open_image"]
