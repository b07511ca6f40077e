"""Digits and clothes by first spikes: data, network, training, conversion."""
