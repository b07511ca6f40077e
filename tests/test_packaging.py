import re
import tomllib
from pathlib import Path

import pytest

import edgesnn

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def project():
    path = ROOT / "pyproject.toml"
    if not path.exists():
        pytest.skip("no pyproject.toml beside the tests: this is not a checkout")
    return tomllib.loads(path.read_text())


def folders_of(project):
    """Return the folder of each package that the tree holds."""
    found = {}
    for package, folder in project["tool"]["setuptools"]["package-dir"].items():
        for init in (ROOT / folder).rglob("__init__.py"):
            below = init.parent.relative_to(ROOT / folder).parts
            found[".".join((package, *below))] = init.parent
    return found


def test_every_folder_with_an_init_is_a_listed_package(project):
    setuptools = project["tool"]["setuptools"]
    assert set(folders_of(project)) == set(setuptools["packages"])


def test_every_data_file_is_covered_by_a_pattern(project):
    patterns = project["tool"]["setuptools"]["package-data"]
    for package, folder in folders_of(project).items():
        given = patterns.get(package, [])
        covered = {p for pattern in given for p in folder.glob(pattern)}
        files = {p for p in folder.iterdir() if p.is_file() and p.suffix != ".py"}
        data = {p for p in files if not p.name.startswith("_engine.")}  # built there
        assert data <= covered, folder


def test_the_version_has_its_place_in_the_changelog():
    assert f"## [{edgesnn.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_readmes_python_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert "left hand wave" in capsys.readouterr().out
