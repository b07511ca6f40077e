"""Digits (or clothes) in pictures and in the events of a DVS, answered as soon as it is sure."""

from edgesnn.app import App

APP = App(
    name="digits",
    summary="Reads digits from pictures, webcams and DVS recordings, and stops once it is sure.",
    model="mnist",
    sample="sample_digits.idx3-ubyte.gz",
    sources=("--webcam", "--camera", "--file"),
    event_model="nmnist",
    samples=(("fashion", "sample_clothes.idx3-ubyte.gz"), ("nmnist", "sample_nmnist.bs2")),
    evaluation="edgesnn.apps.digits.evaluation",
    training="edgesnn.models.digits.command",
    examples=(
        ("edgesnn run digits --file seven.png", "a picture, answered as soon as it is sure"),
    ),
)
