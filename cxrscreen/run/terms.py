"""What the rows of a run depend on: a journal goes on with the very same, or not at all."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from cxrscreen.intake.search.filters import GLOB, LIMIT, SINCE, InputFilter, parse_since
from cxrscreen.model.predictor import choose_device
from cxrscreen.pipeline import ScreenOptions
from cxrscreen.reports.journal import Terms
from cxrscreen.reports.table import RunFacts
from cxrscreen.vocabulary import Engine

#: When the run began, and the time that ``--since`` meant then.
STARTED: Final = "the beginning"
SINCE_TIME: Final = "the time of --since"


def times_of(since: str | None, before: Terms, now: datetime) -> Terms:
    """Return when a run began, and from when on its inputs are wanted.

    A run that goes on keeps both: ``--since 24h`` goes back from its beginning.

    Parameters
    ----------
    since
        What the user gave, ``None`` if nothing.
    before
        What the run that goes on was begun with; empty for a new one.
    now
        The time, aware.

    Returns
    -------
    Terms
        ``STARTED`` in ISO 8601; ``--since`` as it was given, and ``SINCE_TIME`` in seconds since
        1970 (UTC).

    Raises
    ------
    UsageError
        It is no time.
    """
    again = since is not None and before.get(SINCE) == since
    return {
        STARTED: before.get(STARTED, now.isoformat()),
        SINCE: since,
        SINCE_TIME: (
            None if since is None else before.get(SINCE_TIME) if again else parse_since(since, now)
        ),
    }


def terms_of(facts: RunFacts, options: ScreenOptions, wanted: InputFilter, times: Terms) -> Terms:
    """Return it, by names that a user knows.

    The number of workers is not among it. The size of a batch is: the last digits of a logit
    depend on it.

    Parameters
    ----------
    facts
        What is the same in all rows.
    options
        How inputs are screened.
    wanted
        Which inputs are.
    times
        As :func:`times_of` returns them.
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
        "--phi": facts.privacy.phi.value,
        "the key of pseudonyms": facts.privacy.fingerprint,
        GLOB: " ".join(map(facts.privacy.pattern, wanted.patterns)) or None,
        LIMIT: wanted.limit,
        **times,
    }
