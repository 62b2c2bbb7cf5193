"""Studies of models on labelled images: predict, evaluate, compare, calibrate, release."""
