"""From a path to pixels: find the inputs, read the header, build the radiograph."""

from cxrscreen.intake.reader import OpenedImage, open_image
from cxrscreen.intake.search.discover import InputList, discover
from cxrscreen.intake.search.walk import as_paths

__all__ = ["InputList", "OpenedImage", "as_paths", "discover", "open_image"]
