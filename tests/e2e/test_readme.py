"""The commands of README.rst that one can try at once, as they are printed."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

README = Path(__file__).parent.parent.parent / "README.rst"
BLOCKS = re.findall(r"^\.\. code-block:: sh\n\n((?:    .*\n|\n)+)", README.read_text(), re.MULTILINE)
ANSWERS = (
    ['"name":"filesystem-server"', "Hello from the gateway"],
    ['"name":"notes"', '"read_file"', '"tool_name":"read_file"', '"total_requests":1'],
    ['"done":true'],
    ["event:message_start", "data:[DONE]"],
)


def test_what_it_says_to_try_works_as_printed(start: Any, provider: object, tmp_path: Path) -> None:
    daemon = start()
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")

    for block, answers in zip(BLOCKS, ANSWERS, strict=True):
        commands = block.replace("localhost:54587", f"127.0.0.1:{daemon.port}")
        shell = subprocess.run(
            ["bash", "-euc", commands],
            env={**os.environ, "CURL_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        assert (shell.returncode, shell.stderr) == (0, "")
        assert [answer for answer in answers if answer not in shell.stdout.replace(": ", ":")] == []
