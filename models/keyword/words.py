"""Spoken words from a synthesiser: digits in many voices, and words that are no digits.

    python -m edgesnn.models.keyword.words --out DIR

writes folders of wav files in the layout of Google Speech Commands (WORD/VOICE.wav), through the
program espeak-ng. They are simulated speech, used for training only: six real speakers teach
neither other voices nor what a word that is no digit sounds like.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import numpy as np

from edgesnn.errors import MissingDependency

DIGITS = "zero one two three four five six seven eight nine".split()
OTHERS = """
about after again air all always animal answer apple around arm ask away baby back bad bag ball bank
bed before begin below best better big bird black blue boat body book both bottle box boy bread
bring brother brown build bus butter buy call camera car carry cat chair change cheese child city
clean clear close cloud coffee cold come cook corner count country cup dark daughter day dear door
down dream drink drive early earth eat egg end enough evening every eye face fall family far fast
father feel fence field fill find finger fire fish floor flower follow food foot forest forward
friend from garden girl give glass gold good grass great green ground hair hand happy hard head hear
heart heavy hello help here high hold home hope horse house how hungry ice idea iron island join
jump keep key kitchen know lamp large last laugh leaf learn leave left letter light line listen
little lock long look loud love low machine make man many map market maybe meat middle milk minute
mirror money month moon morning mother mountain mouth move much music name near neck need never new
news night no noise none north nose now number ocean off often old on open or orange other out over
page paper park people person phone picture place plant play please point pull push put question
quick rain read ready red rest return rice right river road rock roof room round run sail salt same
sand school sea season second see send shadow ship shirt shoe short side sign silver sing sister
sleep slow small smile snow soft some song soon sound south space speak spring stand star start stay
stone stop street strong sugar summer sun table take talk tall tea teach tell thank then there thick
thing think ticket time today together tomorrow tooth town train travel tree true turn under up use
visit voice wait walk wall want warm watch water way weather week well west what wheel when where
white who why wind window winter wish with woman wood word work world write yellow yes young
""".split()
VOICES = [
    f"{accent}+{variant}"
    for accent in ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp")
    for variant in ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5")
]


def synthesise(out: Path, *, voices_per_word: int, seed: int) -> int:
    """Write the words; return how many files. Digits in every voice.

    voices_per_word: random voices of each other word. Raises MissingDependency without espeak-ng.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise MissingDependency("the words need espeak-ng; install it: apt install espeak-ng")
    rng = np.random.default_rng(seed)
    made = 0
    for word in [*DIGITS, *OTHERS]:
        (out / word).mkdir(parents=True, exist_ok=True)
        if word in DIGITS:
            voices = VOICES
        else:
            voices = [VOICES[i] for i in rng.choice(len(VOICES), voices_per_word, replace=False)]
        for voice in voices:
            path = out / word / f"{voice}.wav"
            speed, pitch = int(rng.integers(110, 220)), int(rng.integers(25, 80))
            options = ["-v", voice, "-s", str(speed), "-p", str(pitch), "-w", str(path)]
            subprocess.run([program, *options, word], check=True, capture_output=True)
            made += 1
    return made


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--voices-per-word", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    made = synthesise(given.out, voices_per_word=given.voices_per_word, seed=given.seed)
    print(f"{made} words in {given.out}")


if __name__ == "__main__":
    main()
