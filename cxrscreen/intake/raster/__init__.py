"""JPEG, PNG and TIFF."""
