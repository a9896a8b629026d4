"""Measures what turns a space's inner products into scores that mean the same for every question.

1. `pairs` draws questions with pictures that fit them and with others, and takes the cosines of their parts.
2. `measuring` makes a `sosie.engine.calibration.Calibration` of them, and says how reliable its scores are on others.
3. `calibrating` does both for a catalog, and writes the result into the configs of the space's models.
"""
