"""What the rows of a run depend on: a journal goes on with the very same, or not at all."""

from __future__ import annotations

from cxrscreen.model.predictor import choose_device
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.reports.journal import Terms
from cxrscreen.reports.table import RunFacts
from cxrscreen.vocabulary import Engine


def terms_of(facts: RunFacts, options: ScreenOptions) -> Terms:
    """Return it, by names that a user knows.

    The number of workers is not among it. The size of a batch is: the last digits of a logit
    depend on it.

    Parameters
    ----------
    facts
        What is the same in all rows.
    options
        How inputs are screened.
    """
    point, permissions = facts.point, options.permissions
    return {
        "cxrscreen": facts.version,
        "the bundle": facts.bundle_sha256,
        "the model": point.model,
        "the preprocessing": point.preprocessing,
        "the engine": point.engine,
        "the calibration": facts.calibration.sha256,
        "the operating point": point.name,
        "the threshold": point.score,
        "the lower threshold": point.lower_score,
        "--prevalence": facts.calibration.document.site_prevalence,
        "--device": choose_device(options.device, Engine(point.engine)).type,
        "--batch-size": options.batch_size,
        "--time-limit": options.seconds_per_image,
        "--allow-out-of-scope": permissions.out_of_scope,
        "--allow-secondary-capture": permissions.secondary_capture,
        "--allow-for-processing": permissions.for_processing,
    }
