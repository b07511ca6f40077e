"""Torch layers whose forward pass computes the integers that they become."""
