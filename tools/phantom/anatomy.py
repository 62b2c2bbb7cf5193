"""The parameters of one phantom child and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from tools.phantom.solids import Point


@dataclass(frozen=True)
class Opacity:
    """One fluffy consolidation: a Gaussian in which tissue replaces air.

    Attributes
    ----------
    centre : tuple of float
        Centre ``(x, y, z)`` in mm.
    sigma : tuple of float
        Standard deviations along ``(x, y, z)`` in mm.
    density : float
        Share of the air that is replaced at the centre, 0..1 and beyond for a plateau.
    """

    centre: Point
    sigma: Point
    density: float


@dataclass(frozen=True)
class Anatomy:
    """One phantom child; lengths in mm for a child of three years before `scale`.

    Attributes
    ----------
    scale : float
        Size of the whole child; 1 is about three years.
    width, depth : float
        Half width and half depth of the inner rib cage at its base.
    apex : float
        Height of the lung apices.
    base : float
        Height of the lowest recess of the lungs.
    dome_right, dome_left : float
        Height of the diaphragm's domes.
    heart : float
        Size of the heart; 1 gives a cardiothoracic ratio of about a half.
    heart_shift : float
        Displacement of heart and mediastinum towards the patient's left.
    mediastinum : float
        Half width of the upper mediastinum (thymus and great vessels).
    wall : float
        Thickness of the chest wall.
    arms : tuple of float
        Angle of the right and left upper arm above the horizontal, radians.
    shoulder : float
        Height of the shoulder joints.
    rib_drop : float
        How far a rib descends from back to front.
    chin : float
        Height of the chin.
    lung_density : float
        Density of aerated lung relative to soft tissue, 0..1.
    tilt : float
        Turn of the child about the beam, radians.
    offset : tuple of float
        Displacement of the beam's centre.
    span : float
        Width of the detector.
    blur : float
        Blur of the detector and of motion, standard deviation.
    photons : float
        Photons per mm² that reach the detector in air; the noise follows from it.
    latitude : float
        Width of the display's grey scale in units of attenuation; wide looks flat.
    level : float
        Attenuation that is shown in mid grey, relative to the child's own median.
    edge : float
        Strength of the plate reader's edge enhancement, 0 for none.
    scatter : float
        Scattered share of the radiation behind the child, 0..1.
    vessels : float
        Calibre of the lung vessels; 1 is normal.
    seed : int
        Seed of the vessel tree, the lung's texture and the bowel gas.
    opacities : tuple of Opacity
        Consolidations; none in a normal child.
    haze : float
        Share of the air that is lost diffusely in both lungs, 0..1.
    """

    scale: float = 1.0
    width: float = 90.0
    depth: float = 55.0
    apex: float = 72.0
    base: float = -80.0
    dome_right: float = -44.0
    dome_left: float = -50.0
    heart: float = 1.0
    heart_shift: float = 0.0
    mediastinum: float = 21.0
    wall: float = 11.0
    arms: tuple[float, float] = (0.5, 0.5)
    shoulder: float = 74.0
    rib_drop: float = 44.0
    chin: float = 112.0
    lung_density: float = 0.27
    tilt: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    span: float = 265.0
    blur: float = 0.35
    photons: float = 3.0e4
    latitude: float = 2.6
    level: float = 0.0
    edge: float = 0.5
    scatter: float = 0.2
    vessels: float = 1.0
    seed: int = 0
    opacities: tuple[Opacity, ...] = ()
    haze: float = 0.0


# Share of the sick children with lobar consolidation; the others have patches in both lungs.
LOBAR_SHARE = 0.6

# Where a lobe's consolidation sits: x as a share of the half width (patient's right negative),
# y as a share of the half depth, z as a share of the way from the lungs' apex to the dome.
LOBES: dict[str, Point] = {
    "right upper": (-0.48, 0.0, 0.34),
    "right middle": (-0.42, -0.35, 0.72),
    "right lower": (-0.52, 0.40, 0.86),
    "left upper": (0.50, -0.10, 0.42),
    "left lower": (0.58, 0.40, 0.84),
}


def _lobar(rng: np.random.Generator, child: Anatomy) -> tuple[Opacity, ...]:
    """Fill most of one to three lobes."""
    count = int(rng.integers(1, 4))
    names = [str(name) for name in rng.choice(sorted(LOBES), size=count, replace=False)]
    found: list[Opacity] = []
    for name in names:
        x, y, z = LOBES[name]
        height = child.apex - (child.apex - child.dome_right) * z
        for _ in range(6):
            jitter = rng.normal(0.0, 1.0, 3)
            sigma = rng.uniform(11.0, 19.0, 3)
            found.append(
                Opacity(
                    centre=(
                        x * child.width + float(jitter[0]) * 13.0,
                        y * child.depth + float(jitter[1]) * 15.0,
                        height + float(jitter[2]) * 13.0,
                    ),
                    sigma=(float(sigma[0]), float(sigma[1]) * 1.5, float(sigma[2])),
                    density=float(rng.uniform(1.0, 1.7)),
                )
            )
    return tuple(found)


def _patchy(rng: np.random.Generator, child: Anatomy, count: int) -> tuple[Opacity, ...]:
    """Scatter patches through both lungs, densest around the hila."""
    found: list[Opacity] = []
    for index in range(count):
        side = -1.0 if index % 2 else 1.0
        outward = float(rng.beta(1.6, 2.4))
        sigma = float(rng.uniform(6.0, 12.0))
        found.append(
            Opacity(
                centre=(
                    side * child.width * (0.26 + 0.6 * outward),
                    float(rng.normal(0.0, 20.0)),
                    float(rng.normal(-2.0, 24.0)),
                ),
                sigma=(sigma * float(rng.uniform(0.8, 1.6)), sigma * 1.8, sigma),
                density=float(rng.uniform(0.6, 1.2)),
            )
        )
    return tuple(found)


def sample_anatomy(rng: np.random.Generator, *, pneumonia: bool) -> Anatomy:
    """Draw a phantom child.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every random number.
    pneumonia : bool
        Whether the lungs are consolidated. The sick child is also exposed as sick children
        are: lying down, breathing less deeply and moving a little, on a flatter grey scale.

    Returns
    -------
    Anatomy
        The child; equal generators give equal children.
    """

    def around(middle: float, spread: float) -> float:
        """Draw evenly from an interval around a value."""
        return float(rng.uniform(middle - spread, middle + spread))

    shallow = around(5.0, 5.0) if pneumonia else around(-1.0, 4.0)
    lift = around(0.55, 0.45)
    scale = around(1.0, 0.06)
    # The radiographer collimates to the child, more narrowly in bed than at the stand.
    span = scale * (around(195.0, 5.0) if pneumonia else around(232.0, 10.0))
    healthy = Anatomy(
        scale=scale,
        width=around(90.0, 4.0),
        depth=around(55.0, 3.0),
        apex=around(72.0, 3.0),
        base=around(-80.0, 3.0) + shallow,
        dome_right=around(-44.0, 4.0) + shallow,
        dome_left=around(-51.0, 4.0) + shallow,
        heart=around(0.98, 0.07) + (0.08 if pneumonia else 0.0),
        heart_shift=around(0.0, 3.0),
        mediastinum=around(21.0, 3.0) + (3.0 if pneumonia else 0.0),
        wall=around(11.0, 2.0),
        arms=(lift + around(0.0, 0.15), lift + around(0.0, 0.15)),
        shoulder=around(75.0, 4.0),
        rib_drop=around(44.0, 6.0),
        chin=around(106.0, 8.0),
        lung_density=around(0.31, 0.03),
        tilt=around(0.0, 0.09 if pneumonia else 0.05),
        offset=(around(0.0, 6.0), around(-14.0, 3.0) if pneumonia else around(3.0, 5.0)),
        span=span,
        blur=around(0.62, 0.1) if pneumonia else around(0.3, 0.08),
        photons=around(1.6e5, 4.0e4) if pneumonia else around(1.0e5, 3.0e4),
        latitude=around(3.7, 0.3) if pneumonia else around(2.8, 0.2),
        level=around(-0.15, 0.1) if pneumonia else around(0.0, 0.1),
        edge=around(0.1, 0.08) if pneumonia else around(0.65, 0.15),
        scatter=around(0.36, 0.06) if pneumonia else around(0.17, 0.05),
        vessels=around(1.15, 0.1) if pneumonia else around(1.0, 0.08),
        seed=int(rng.integers(0, 2**31)),
    )
    if not pneumonia:
        return healthy
    lobar = bool(rng.random() < LOBAR_SHARE)
    patches = _patchy(rng, healthy, int(rng.integers(10, 18)) if lobar else 30)
    return _with(
        healthy,
        (_lobar(rng, healthy) if lobar else ()) + patches,
        around(0.2, 0.06) if lobar else around(0.26, 0.06),
    )


def _with(child: Anatomy, opacities: tuple[Opacity, ...], haze: float) -> Anatomy:
    """Return the child with consolidated lungs."""
    return replace(child, opacities=opacities, haze=haze)
