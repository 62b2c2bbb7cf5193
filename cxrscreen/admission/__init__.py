"""May this model judge this image? Header first, pixels after; every refusal has a name."""

from cxrscreen.admission.header import admit_header
from cxrscreen.admission.pixels import admit_pixels

__all__ = ["admit_header", "admit_pixels"]
