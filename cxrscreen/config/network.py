"""The networks, and the names of their stages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cxrscreen.config.schema import Strict

#: The part of every network that turns features into a logit.
HEAD = "head"


class ScratchCNNConfig(Strict):
    """A convolutional network trained from scratch."""

    architecture: Literal["scratch_cnn"]
    widths: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=7)
    ]
    """Channels of each stage; every stage halves the image, the first one twice."""
    convolutions_per_stage: Annotated[int, Field(ge=1, le=3)] = 1
    dense_units: Annotated[int, Field(ge=1, le=4096)] = 64
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, from the image to the logit."""
        return (*(f"stage{number}" for number in range(1, len(self.widths) + 1)), HEAD)


class ResNet50Config(Strict):
    """The ResNet50 of He et al. (2016), with the published names of its weights."""

    architecture: Literal["resnet50"]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, from the image to the logit."""
        return ("stem", "layer1", "layer2", "layer3", "layer4", HEAD)


NetworkConfig = Annotated[ScratchCNNConfig | ResNet50Config, Field(discriminator="architecture")]
