"""Write docs/errors.md from the numbers in the source: python tools/write_error_page.py"""

from pathlib import Path

from secure_fedmeta.catalogue import as_page


def main() -> None:
    (Path(__file__).parents[1] / "docs" / "errors.md").write_text(as_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
