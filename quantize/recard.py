"""Add to a bundle's card what was measured after it was written.

    python -m edgesnn.quantize.recard BUNDLE.json --card CARD.json

The entries of the JSON file replace those of the card that have their names; the rest of the card,
the network and its hashes stay as they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edgesnn.bundle import Bundle, load_bundle


def recard(path: Path, entries: dict[str, Any]) -> Bundle:
    """Write entries into the card of the bundle at `path` (its .json); return it as loaded.

    Raises InputError or BundleError for what is no bundle.
    """
    load_bundle(path)
    description = json.loads(path.read_text())
    description["card"] |= entries
    path.write_text(json.dumps(description, indent=1) + "\n")
    return load_bundle(path)


def main() -> None:
    """Run from the command line; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--card", type=Path, required=True)
    given = parser.parse_args()
    bundle = recard(given.bundle, json.loads(given.card.read_text()))
    print(json.dumps(bundle.card, indent=2))


if __name__ == "__main__":
    main()
