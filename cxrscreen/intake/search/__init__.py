"""Find the inputs, in folders, archives and DICOM media."""
