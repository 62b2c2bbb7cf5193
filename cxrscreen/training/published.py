"""Published weights: fetched once into the user's cache, verified at every use."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import urllib.error
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch.hub import download_url_to_file

from cxrscreen.errors import ConfigError
from cxrscreen.model.files import sha256_of_file

_OFFLINE_HINT = "Download it elsewhere and put it there, or give --set pretrained=FILE."
#: Of silence, after which a connection is given up: a firewall may drop without a word.
_SILENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file that its publisher keeps at one address.

    Attributes
    ----------
    url
        Where it is.
    sha256
        Of its content.
    """

    url: str
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.url.rsplit("/", 1)[1]


#: torchvision's ResNet50 ("IMAGENET1K_V1"), trained on ImageNet-1k; 102,530,333 bytes.
PUBLISHED_RESNET50 = PublishedFile(
    url="https://download.pytorch.org/models/resnet50-0676ba61.pth",
    sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
)


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of downloads, whether it exists or not.

    ``$CXRSCREEN_CACHE``; else ``cxrscreen`` in ``$XDG_CACHE_HOME`` (XDG Base Directory
    Specification: ignored unless absolute); else ``~/.cache/cxrscreen``.

    Raises
    ------
    ConfigError
        There is no home directory.
    """
    if environ.get("CXRSCREEN_CACHE"):
        return Path(environ["CXRSCREEN_CACHE"])
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "cxrscreen"
    try:
        return Path.home() / ".cache" / "cxrscreen"
    except RuntimeError as error:
        message = "there is no home directory to keep downloads in"
        raise ConfigError(message, hint="Set CXRSCREEN_CACHE to a folder.") from error


def fetched(published: PublishedFile, folder: Path | None = None) -> Path:
    """Return the path of a published file, after fetching it if it is not there yet.

    It is downloaded beside its name, verified, and then renamed: neither Ctrl-C nor a broken
    connection leaves anything behind.

    Parameters
    ----------
    published
        What is wanted.
    folder
        Where downloads are kept; :func:`cache_folder` if ``None``.

    Raises
    ------
    ConfigError
        It cannot be fetched, or its content is not the published one.
    """
    path = (cache_folder() if folder is None else folder) / published.name
    try:
        if os.path.lexists(path):
            if sha256_of_file(path) != published.sha256:
                message = f"{path}: its content is not that of {published.url}"
                raise ConfigError(message, hint="Delete it: it is then fetched again.")
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{path}: cannot be used: {error.strerror or type(error).__name__}"
        raise ConfigError(message, hint="Set CXRSCREEN_CACHE to another folder.") from error
    try:
        with _giving_up_on_silence():
            download_url_to_file(
                published.url, str(path), hash_prefix=published.sha256, progress=False
            )
    # A RuntimeError is the word of torch.hub for another checksum.
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        if isinstance(error, urllib.error.HTTPError):
            # It is the answer too, and holds the connection.
            error.close()
        reason = getattr(error, "reason", error)
        said = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
        message = f"{path} is not there, and {published.url} cannot be fetched ({said})"
        raise ConfigError(message, hint=_OFFLINE_HINT) from error
    return path


@contextlib.contextmanager
def _giving_up_on_silence() -> Iterator[None]:
    # torch.hub sets no limit, and takes none.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
