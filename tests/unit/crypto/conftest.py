# SPDX-License-Identifier: Apache-2.0
"""Let these tests import the shared rehearsal."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
