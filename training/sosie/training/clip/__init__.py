"""The bundle `clip`: the image and text towers of any open_clip model, exported for Triton."""
