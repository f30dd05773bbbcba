"""The synchronous client is written from the asynchronous one."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def generate(client: Path, *options: str) -> int:
    command = [sys.executable, str(client / "generate.py"), *options]
    return subprocess.run(command, capture_output=True, check=False).returncode


def test_a_stale_client_is_noticed_and_written_again(tmp_path: Path) -> None:
    client = tmp_path / "client"
    shutil.copytree(ROOT / "client", client)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)  # the line length
    assert generate(client, "--check") == 0
    package = client / "src" / "millrace_client"
    with (package / "async_client.py").open("a") as source:
        source.write(
            "\n\nasync def version(client: AsyncMillrace) -> str:\n    return (await client.feed('ann')).version\n"
        )
    assert generate(client, "--check") == 1
    assert generate(client) == 0
    assert generate(client, "--check") == 0
    assert (
        (package / "client.py")
        .read_text()
        .endswith('\n\ndef version(client: Millrace) -> str:\n    return (client.feed("ann")).version\n')
    )
