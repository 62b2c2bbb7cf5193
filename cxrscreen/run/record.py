"""The manifest of a run, out of what the run knows when its reports are written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cxrscreen.intake.search.discover import InputList
from cxrscreen.records import RunSummary, Source
from cxrscreen.reports.manifest import (
    Counts,
    Inputs,
    Model,
    Option,
    RunManifest,
    Times,
    report_files,
    this_host,
    versions,
)
from cxrscreen.reports.privacy import Privacy
from cxrscreen.reports.table import RunFacts
from cxrscreen.vocabulary import Phi


def recorded_options(params: Mapping[str, Any], privacy: Privacy) -> dict[str, Option]:
    """Return the options of a command as a manifest may tell them.

    Parameters
    ----------
    params
        As the command line hands them to the command.
    privacy
        Paths of inputs and patterns may name patients: with ``--phi none`` they are hashes, as
        in the report.
    """
    recorded: dict[str, Option] = {}
    for name, value in sorted(params.items()):
        if name == "paths":
            recorded["PATH"] = [privacy.source(Source(Path(path))).location for path in value]
        elif name == "glob":
            recorded["--glob"] = [privacy.pattern(one) for one in value or ()]
        else:
            recorded[f"--{name.replace('_', '-')}"] = _plain(value)
    return recorded


def _plain(value: object) -> Option:
    """Return a value of an option; of a file its name alone, not where it lies."""
    if isinstance(value, list | tuple):
        return [str(_plain(one)) for one in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, str) and os.sep in value:
        return Path(value).name
    return value if isinstance(value, str | int | float | bool | None) else str(value)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What the manifest of a run says beside its counts and its reports.

    Attributes
    ----------
    facts
        What is the same for every row.
    inputs, digests
        The frozen list, and the digests of its inputs.
    options
        The options of the command, by their names.
    started
        When the run began.
    """

    facts: RunFacts
    inputs: InputList
    digests: bytes
    options: Mapping[str, Option]
    started: datetime

    def manifest(
        self, summary: RunSummary, reports: Mapping[Path, str], *, ended: datetime, resumed: int
    ) -> RunManifest:
        """Return the manifest.

        Parameters
        ----------
        summary
            Counts of all rows, and how long the run worked.
        reports
            The reports with their SHA-256.
        ended
            The time.
        resumed
            How often the run went on.
        """
        facts, point = self.facts, self.facts.point
        # A key keeps whoever guesses a path from trying it out.
        key = facts.privacy.key if facts.privacy.phi is Phi.NONE else b""
        return RunManifest(
            cxrscreen_version=facts.version,
            phi=facts.privacy.phi,
            pseudonym_key=facts.privacy.fingerprint,
            options=dict(self.options),
            model=Model(
                bundle=facts.bundle,
                bundle_sha256=facts.bundle_sha256,
                model=point.model,
                preprocessing=point.preprocessing,
                engine=point.engine,
                calibration_sha256=facts.calibration.sha256,
                operating_point=point.name,
                threshold_logit=point.score,
                guarantee=point.guarantee(),
            ),
            inputs=Inputs(
                count=len(self.inputs),
                sha256=hashlib.sha256(key + self.digests).hexdigest(),
                left_out=dict(self.inputs.left_out),
            ),
            counts=Counts(
                rows=summary.inputs,
                by_decision=dict(summary.by_decision),
                by_reject_code=dict(summary.by_reject_code),
            ),
            reports=report_files(reports),
            times=Times(
                started=self.started, ended=ended, seconds=summary.seconds, resumed=resumed
            ),
            host=this_host(),
            versions=versions(),
        )
