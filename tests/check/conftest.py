"""The examples are read by `check`, never imported."""

collect_ignore = ["examples"]
