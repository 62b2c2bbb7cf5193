"""One screening run: journalled, resumed, and its reports put in their places at the end."""

from cxrscreen.run.frozen import FrozenInputs
from cxrscreen.run.screening import ScreeningRun
from cxrscreen.run.start import begin_or_resume, hold_journal

__all__ = ["FrozenInputs", "ScreeningRun", "begin_or_resume", "hold_journal"]
