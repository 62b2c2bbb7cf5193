"""What ``screen`` draws beside its reports: activation maps, and the page of the worklist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from cxrscreen.errors import UsageError

if TYPE_CHECKING:
    from cxrscreen.maps.folder import MapFolder
    from cxrscreen.model.bundle import ModelBundle
    from cxrscreen.pipeline import ScreenedImage
    from cxrscreen.reports.journal import Journal, Terms
    from cxrscreen.reports.table import Cell, RunFacts
    from cxrscreen.run import ScreeningRun
    from cxrscreen.run.maps import RunMaps
    from cxrscreen.run.page import RunPage

_PAGES: Final = (".html", ".htm")


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pages and maps of a run, as options ask for them.

    Attributes
    ----------
    html
        The page to write.
    maps
        The folder for maps.
    every
        Whether negative images have maps too.
    """

    html: Path | None
    maps: Path | None
    every: bool

    def check(self, outs: Sequence[Path]) -> None:
        """Refuse options that contradict one another, before any work.

        Raises
        ------
        UsageError
            They do.
        """
        if self.every and self.maps is None:
            message = "--all-maps needs --maps"
            raise UsageError(message, hint="Give the folder for them: --maps DIR.")
        if self.html is not None and self.html.suffix.lower() not in _PAGES:
            message = f"--html {self.html}: is no name of a page"
            raise UsageError(message, hint="Let it end with .html.")
        named = [path.absolute() for path in (*outs, self.html, self.maps) if path is not None]
        if len(set(named)) != len(named):
            message = "two outputs have the same name"
            raise UsageError(message, hint="Give each a name of its own.")

    def replaceable(self) -> dict[Path, Callable[[Path], bool]]:
        """Return the files beside the reports, each with what recognises an earlier one."""
        if self.html is None:
            return {}
        from cxrscreen.reports.html import is_worklist_page

        return {self.html: is_worklist_page}

    def check_folder(self, *, replaceable: bool) -> None:
        """Refuse a folder for maps that is somebody else's.

        Raises
        ------
        OutputError
            It is, or may not be replaced.
        """
        if (folder := self._folder()) is not None:
            folder.check(replaceable=replaceable)

    def own_files(self) -> list[Path]:
        """Return files of the run itself, which are no inputs wherever they lie."""
        files = [] if self.html is None else [self.html]
        if self.maps is not None and self.maps.is_dir():
            files += sorted(self.maps.iterdir())
        return files

    def terms(self) -> Terms:
        """Return what the rows of a journal depend on: a page needs small pictures of them."""
        return {"--html": self.html is not None}

    def thumbnail(self, model: ModelBundle) -> Callable[[ScreenedImage], bytes | None] | None:
        """Return what makes a small picture of each image, if a page will show them."""
        if self.html is None:
            return None
        from cxrscreen.run.page import thumbnail

        return lambda image: thumbnail(image, model.spec)

    def make_maps(self, run: ScreeningRun, facts: RunFacts, *, quiet: bool) -> RunMaps | None:
        """Make the maps of a run whose rows are all there, under a progress bar.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        folder = self._folder()
        if folder is None:
            return None
        from cxrscreen.cli.progress import screening_progress
        from cxrscreen.run.maps import RunMaps

        made = RunMaps(folder, run.frozen.inputs, run.bundle, run.options, facts, self.every)
        with screening_progress(quiet=quiet) as progress:
            task = progress.add_task("maps", total=None)
            made.make(
                run.journal,
                on_start=lambda count: progress.update(task, total=count),
                on_map=lambda: progress.advance(task),
            )
        if made.missing and not quiet:
            count = len(made.missing)
            what = "1 image has" if count == 1 else f"{count:,} images have"
            text = f"{what} changed or cannot be read any more: no map"
            typer.echo(f"cxrscreen: {text}", err=True)
        return made

    def page(
        self,
        run: ScreeningRun,
        facts: RunFacts,
        outs: Sequence[Path],
        maps: RunMaps | None,
    ) -> RunPage | None:
        """Return what writes the page, if there is to be one."""
        if self.html is None:
            return None
        from cxrscreen.run.page import RunPage

        return RunPage(self.html, run.bundle, facts, outs, maps)

    def say_written(self) -> None:
        """Say on standard output where page and maps lie."""
        from cxrscreen.errors import printable

        for what, path in (("page", self.html), ("maps", self.maps)):
            if path is not None:
                typer.echo(f"{what}: {printable(str(path))}")

    def _folder(self) -> MapFolder | None:
        if self.maps is None:
            return None
        from cxrscreen.maps.folder import MapFolder

        return MapFolder(self.maps)


def with_maps(journal: Journal, maps: RunMaps | None) -> Iterator[Mapping[str, Cell]]:
    """Yield the rows of the report, each with the name of its map."""
    from cxrscreen.reports.table import MAP

    names = {} if maps is None else maps.names(journal)
    for number, cells in enumerate(journal.cells()):
        yield {**cells, MAP: names[number]} if number in names else cells
