"""From stored DICOM values to a radiograph."""
