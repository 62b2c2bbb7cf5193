"""A small projection phantom of a child's chest, and of a hand.

Nothing here comes from a person: rays are integrated through ellipsoids, stacked sections and
tubes. Frontal and lateral radiographs of one phantom child show the same volume.
"""

from __future__ import annotations

from tools.phantom.anatomy import Anatomy, Opacity, sample_anatomy
from tools.phantom.radiograph import detector_grid, project, project_hand
from tools.phantom.solids import View

__all__ = [
    "Anatomy",
    "Opacity",
    "View",
    "detector_grid",
    "project",
    "project_hand",
    "sample_anatomy",
]
