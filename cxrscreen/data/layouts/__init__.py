"""The layouts in which people have labelled images, a module for each."""
