"""The flow network, begun: simulated scenes with exact motion, network, training, conversion.

There is no task `flow` yet: no bundle, no app. `train` is the way to a checkpoint.
"""
