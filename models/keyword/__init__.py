"""Spoken words: data, network, training, conversion."""
