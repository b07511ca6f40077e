"""The ten English digits in a stream of sound, each spotted once."""

from edgesnn.app import App

APP = App(
    name="keyword",
    summary="Spots the ten spoken English digits in the sound of a microphone.",
    model="keyword",
    sample="sample_keyword.flac",
    sources=("--mic", "--file", "--stdin"),
    evaluation="edgesnn.apps.keyword.evaluation",
    training="edgesnn.models.keyword.command",
    examples=(("edgesnn run keyword --mic", "spoken digits, from the default microphone"),),
)
