"""Writes the JSON Schemas to a folder, or says which files there are out of date.

python -m detente.schema_files docs/schemas [--check]
"""

from pathlib import Path

import click

from schemas.export import schema_files


def outdated(folder: Path) -> list[Path]:
    """Files that are missing, differ from what the models say, or belong to nothing any more."""
    expected = {folder / name: text for name, text in schema_files().items()}
    found = set(folder.rglob("*.json"))
    differing = {
        path
        for path, text in expected.items()
        if path not in found or path.read_text(encoding="utf-8") != text
    }
    return sorted(differing | (found - expected.keys()))


def write(folder: Path) -> list[Path]:
    """Write every schema. Returns files that belong to nothing any more, for somebody to delete."""
    for name, text in schema_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return outdated(folder)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--check", is_flag=True, help="Change nothing; fail if a file is out of date.")
def main(folder: Path, *, check: bool) -> None:
    """Write the JSON Schemas of events and documents to FOLDER."""
    wrong = outdated(folder) if check else write(folder)
    for path in wrong:
        click.echo(f"{path}: {'out of date' if check else 'not generated any more; delete it'}")
    if wrong:
        hint = " Run `make schemas` and commit the result." if check else ""
        click.echo(f"{len(wrong)} files need attention.{hint}", err=True)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
