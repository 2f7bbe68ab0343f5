"""Making profiles: autoencoders and calibration."""
