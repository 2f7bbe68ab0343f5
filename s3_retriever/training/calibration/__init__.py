"""Calibration: which query heads of a model retrieve, and how much each should count."""
