"""Trains classifiers of pictures: the data and its splits, backbones, learning, export, classical rivals."""
