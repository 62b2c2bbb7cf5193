"""What a DICOM header says about its image."""
