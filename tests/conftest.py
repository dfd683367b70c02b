# SPDX-License-Identifier: Apache-2.0
"""Let every test import the shared helpers."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))
