from __future__ import annotations

import os
import subprocess
import sys

_PROGRAM = """
import os
from config.environment import quiet
quiet()
print(os.environ["DO_NOT_TRACK"], os.environ["GRADIO_ANALYTICS_ENABLED"])
"""


def test_quiet_switches_telemetry_off_and_leaves_what_is_set() -> None:
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "True"}
    environment.pop("DO_NOT_TRACK", None)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["1", "True"]
