"""The networks: built from a configuration, and seen as stages."""

from cxrscreen.model.network.build import build_network, lay_out
from cxrscreen.model.network.scratch_cnn import ScratchCNN
from cxrscreen.model.network.stages import freeze, parameter_groups, stage_of, unfreeze

__all__ = [
    "ScratchCNN",
    "build_network",
    "freeze",
    "lay_out",
    "parameter_groups",
    "stage_of",
    "unfreeze",
]
