# SPDX-License-Identifier: Apache-2.0
"""Made-up data for pilots: documented models, fixed by a seed, no real person in them; and readers of real files."""
