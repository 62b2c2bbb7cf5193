"""``cxrscreen bundle list``: the bundles that ship with the package."""

from __future__ import annotations


def list_bundles() -> None:
    """List the bundles that ship with cxrscreen: name, size, engines, intended use.

    They are not verified here: see 'bundle verify'.
    """
    from rich.table import Table
    from rich.text import Text

    from cxrscreen.cli.progress import ResultConsole, until_reader_leaves
    from cxrscreen.model.bundle import DEFAULT_BUNDLE, packaged_bundles
    from cxrscreen.model.folder import engines_of, read_document

    table = Table("name", "size", "calibrated for", "intended use", box=None, pad_edge=False)
    for name, folder in packaged_bundles().items():
        document = read_document(folder)
        size = sum((folder / file).stat().st_size for file in document.files)
        table.add_row(
            f"{name} (default)" if name == DEFAULT_BUNDLE else name,
            f"{size / 1e6:.1f} MB",
            ", ".join(engines_of(document)),
            Text(document.intended_use.population),
        )
    with until_reader_leaves():
        ResultConsole().print(table)
