"""Builds every known-bad variant in a copy of the tree and shows that its named test fails.

Exit code 0 only if all named tests pass on the code as it is, and each variant is caught by its own.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.mutants.table import MUTANTS, Mutant

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = ("deploy", "docs", "services", "shared", "tests", "pyproject.toml", "mutation-engine")
FAILED_TESTS: Final = 1  # pytest's exit code; any other means that nothing was shown


def copy(directory: Path) -> Path:
    """A copy of what tests need."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory / name)
    return directory


def tested(directory: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests in a copy."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        *(f"tests/{test}" for test in tests),
    ]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def plant(directory: Path, mutant: Mutant) -> None:
    """Change the one place. Raises ValueError where the code is no longer as the table says."""
    path = directory / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file} holds {text.count(mutant.old)} times what {mutant.name!r} changes")
    path.write_text(text.replace(mutant.old, mutant.new))


def caught_by(mutant: Mutant) -> str | None:
    """The test that failed on this variant; None if none did."""
    with tempfile.TemporaryDirectory() as directory:
        tree = copy(Path(directory))
        plant(tree, mutant)
        ran = tested(tree, mutant.test)
        failed = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("FAILED")]
        return failed[0] if ran.returncode == FAILED_TESTS and failed else None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="variants whose name holds this text")
    only = parser.parse_args().only
    chosen = [mutant for mutant in MUTANTS if only in mutant.name]
    if not chosen:
        parser.error(f"no variant's name holds {only!r}; there are: {', '.join(each.name for each in MUTANTS)}")
    print(f"the tests of {len(chosen)} variants on the code as it is, then each on its variant …", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        sound = tested(copy(Path(directory)), *sorted({mutant.test for mutant in chosen}))
    if sound.returncode:
        print(sound.stdout[-3000:])
        print("The named tests do not pass on the code as it is.")
        return 1
    escaped = 0
    for mutant in chosen:
        catcher = caught_by(mutant)
        escaped += catcher is None
        print(f"{'caught ' if catcher else 'ESCAPED'}  {mutant.name}: {catcher or mutant.test}", flush=True)
    print(f"{len(chosen) - escaped} of {len(chosen)} caught.")
    return 1 if escaped else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
