"""The JSON Schemas: generated, complete, and the same as those in docs/schemas."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from detente.schema_files import main, outdated
from schemas.events import CATALOGUE
from schemas.export import schema_files

DOCS = Path(__file__).resolve().parents[2] / "docs" / "schemas"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_the_published_schemas_are_those_of_the_models() -> None:
    assert outdated(DOCS) == [], "run `make schemas` and commit the result"


def test_there_is_a_schema_for_each_event_type_and_each_document() -> None:
    files = schema_files()
    names = ("event", "policy", "directory", "mapping", "report", "decision")
    documents = {f"{name}.json" for name in names}
    assert set(files) == documents | {f"events/{kind}.json" for kind in CATALOGUE}
    for path, text in files.items():
        schema = json.loads(text)
        assert schema["$id"] == Path(path).name
        assert text == json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert json.loads(files["events/case.resolved.json"])["title"] == "case.resolved"


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [reference for item in node for reference in _references(item)]
    if not isinstance(node, dict):
        return []
    inner = [reference for item in node.values() for reference in _references(item)]
    return [*inner, node["$ref"]] if isinstance(node.get("$ref"), str) else inner


def test_every_reference_leads_somewhere() -> None:
    files = schema_files()
    for text in files.values():
        schema = json.loads(text)
        for reference in _references(schema):
            if reference.startswith("#/$defs/"):
                assert reference.removeprefix("#/$defs/") in schema["$defs"]
            else:
                assert reference in files


def test_writing_makes_a_check_pass(tmp_path: Path) -> None:
    folder = str(tmp_path / "new")
    code, output = run(folder, "--check")
    assert code == 1
    assert "event.json: out of date" in output
    assert not (tmp_path / "new").exists()
    assert run(folder) == (0, "")
    assert run(folder, "--check") == (0, "")


def test_a_check_names_each_file_that_drifted(tmp_path: Path) -> None:
    run(str(tmp_path))
    changed, missing = tmp_path / "policy.json", tmp_path / "events" / "order.placed.json"
    changed.write_text(changed.read_text(encoding="utf-8") + " ", encoding="utf-8")
    missing.unlink()
    stale = tmp_path / "events" / "order.forgotten.json"
    stale.write_text("{}", encoding="utf-8")
    code, output = run(str(tmp_path), "--check")
    assert code == 1
    named = [line for line in output.splitlines() if line.endswith(": out of date")]
    assert named == [f"{path}: out of date" for path in (stale, missing, changed)]
    assert changed.read_text(encoding="utf-8").endswith(" ")

    code, output = run(str(tmp_path))  # writes the two, and leaves what is not its own
    assert code == 1
    assert f"{stale}: not generated any more; delete it" in output
    stale.unlink()
    assert run(str(tmp_path), "--check") == (0, "")
