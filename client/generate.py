"""Write the synchronous client from the asynchronous one: `python client/generate.py [--check]`.

The substitutions apply to the text, so that docstrings and their examples follow; ruff then lays it out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "src" / "millrace_client"
SOURCE, TARGET = PACKAGE / "async_client.py", PACKAGE / "client.py"
SUBSTITUTIONS = (
    (r'^"""The asyncio client\.', '"""The synchronous client. Generated from async_client.py: do not edit.'),
    (r"\bAn asyncio client", "A client"),
    (r"\ban async context manager; tasks", "a context manager; threads"),
    (r"\basyncio\.run\((.*)\)$", r"\1"),
    (r"\basyncio(\.sleep)?\b", r"time\1"),
    (r"\basync (?=def|for|with)|\bawait ", ""),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b__a(?=enter|exit)", "__"),
    (r"\.a(?=close\(|read\()", "."),
)


def render() -> str:
    """Return the source of the synchronous client."""
    text = SOURCE.read_text()
    for pattern, replacement in SUBSTITUTIONS:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout  # noqa: S603 - ours


def main() -> int:
    """Write the file, or with --check only report whether it is fresh."""
    source = render()
    if "--check" not in sys.argv:
        TARGET.write_text(source)
    elif TARGET.read_text() != source:
        sys.stderr.write(f"{TARGET.name} is stale: run `python client/generate.py`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
