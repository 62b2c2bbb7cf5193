"""Activation maps on the radiographs' own grid: made, drawn, kept in files."""

from cxrscreen.maps.files import is_map_array, write_array
from cxrscreen.maps.place import MapMaker, PlacedMap

__all__ = ["MapMaker", "PlacedMap", "is_map_array", "write_array"]
