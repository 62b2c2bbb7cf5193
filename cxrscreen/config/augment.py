"""Random transforms of training images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from cxrscreen.config.schema import Fraction, Strict


class AugmentConfig(Strict):
    """Random transforms of training images; a strength of zero switches one off."""

    rotation_degrees: Annotated[float, Field(ge=0.0, le=45.0)] = 0.0
    zoom_fraction: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    shift_fraction: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    horizontal_flip: Fraction = 0.0
    """Probability of a left-right flip."""
    border_crop_fraction: Annotated[float, Field(ge=0.0, lt=0.4)] = 0.0
    """Largest share of the side that is cut from each edge, by itself."""
    probability: Fraction = 0.5
    """Chance of each of the transforms below, drawn for each of them."""
    gamma_range: tuple[float, float] = (1.0, 1.0)
    contrast_range: tuple[float, float] = (1.0, 1.0)
    """Factor about the mean of the image."""
    brightness: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Largest offset to either side."""
    grey_level_exchange: Fraction = 0.0
    """Largest share by which grey levels are moved to those of another training image."""
    sharpness_exchange: Fraction = 0.0
    """Largest share by which the power at high frequencies is moved to that of another one."""
    blur_sigma_px: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    resolution_px: Annotated[int, Field(ge=0, le=1024)] = 0
    """Smallest side to which an image is reduced before it is enlarged again; 0 for never."""
    jpeg_quality: Annotated[int, Field(ge=0, le=95)] = 0
    """Lowest quality of a JPEG recompression; 0 for none."""
    noise_std: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Largest standard deviation of white noise; pixel values go from 0 to 1."""
    border_erase_fraction: Annotated[float, Field(ge=0.0, lt=0.4)] = 0.0
    """Largest width of an erased frame, as a share of the side."""

    lungs_erased: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    """Share of images of which only the border is left, with a label of 0.5."""

    @field_validator("gamma_range", "contrast_range")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] <= value[1]:
            message = "needs 0 < low <= high"
            raise ValueError(message)
        return value
