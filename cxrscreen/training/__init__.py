"""Make a model: labelled images, patient-disjoint split, augmentation, MONAI engines."""
