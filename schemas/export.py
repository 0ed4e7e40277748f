"""JSON Schemas of everything that crosses a border, for those who send events or check files.

The schemas are generated from the models. Where a rule needs two fields at once (exactly one of
`lines`, `quantity`, `impact_percent`), the description says so and reading the event checks it.
"""

import json
from typing import Any

from pydantic import BaseModel

from schemas.decisions import Decision
from schemas.directory import Directory
from schemas.events import CATALOGUE
from schemas.mapping import Mapping
from schemas.policy import Policy
from schemas.report import Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"
DOCUMENTS: dict[str, type[BaseModel]] = {
    "policy": Policy,
    "directory": Directory,
    "mapping": Mapping,
    "report": Report,
    "decision": Decision,
}


def schema_files() -> dict[str, str]:
    """Every schema file's text by its path: one for each event type, `event.json` for any of
    them, and one for each document."""
    schemas = {f"events/{kind}.json": _schema(model, kind) for kind, model in CATALOGUE.items()}
    schemas["event.json"] = {
        "title": "event",
        "description": "A CloudEvent 1.0 of the catalogue, in structured JSON.",
        "oneOf": [{"$ref": f"events/{kind}.json"} for kind in CATALOGUE],
    }
    for name, model in DOCUMENTS.items():
        schemas[f"{name}.json"] = _schema(model, name)
    return {path: _text(path, schema) for path, schema in sorted(schemas.items())}


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema["title"] = title
    if model in CATALOGUE.values():
        # The envelope's own docstring says nothing about this event; that of its data does.
        data = schema["properties"]["data"]["$ref"].removeprefix("#/$defs/")
        schema["description"] = schema["$defs"][data]["description"]
    return schema


def _text(path: str, schema: dict[str, Any]) -> str:
    # Relative to where the file lies, so that a copy of the folder works anywhere.
    whole = {"$schema": DIALECT, "$id": path.rpartition("/")[2], **schema}
    return json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
