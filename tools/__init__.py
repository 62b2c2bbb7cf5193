"""Scripts that make the repository's synthetic files; not part of the installed package."""
