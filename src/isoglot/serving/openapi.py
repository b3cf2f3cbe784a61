"""The OpenAPI document: what is served, in a form that programs read."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from isoglot._version import __version__
from isoglot.serving.requests import EmbeddingRequest, SearchRequest

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": "null"},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_VECTOR = {
    "type": "object",
    "required": ["object", "index", "embedding"],
    "properties": {
        "object": {"const": "embedding"},
        "index": {"type": "integer"},
        "embedding": {"oneOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]},
    },
}
_EMBEDDINGS = {
    "type": "object",
    "required": ["object", "data", "model", "usage", "truncated"],
    "properties": {
        "object": {"const": "list"},
        "data": {"type": "array", "items": _VECTOR},
        "model": {"type": "string"},
        "usage": {
            "type": "object",
            "properties": {"prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}},
        },
        "truncated": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "Numbers of the inputs that the model did not read to their end",
        },
    },
}
_HIT = {
    "type": "object",
    "required": ["id", "group", "language", "score", "text", "fields", "translations"],
    "properties": {
        "id": {"type": "string"},
        "group": {"type": ["string", "null"]},
        "language": {"type": ["string", "null"]},
        "score": {"type": "number"},
        "text": {"type": ["string", "null"]},
        "fields": {"type": "object", "description": "The corpus' other columns"},
        "translations": {"type": "array", "items": {"$ref": "#/components/schemas/Hit"}},
    },
}
_HITS = {
    "type": "object",
    "required": ["hits", "note", "query_truncated"],
    "properties": {
        "hits": {"type": "array", "items": {"$ref": "#/components/schemas/Hit"}},
        "note": {
            "type": ["string", "null"],
            "description": "Why there are fewer hits than asked for, or how they were found",
        },
        "query_truncated": {"type": "boolean", "description": "Whether the model did not read the question to its end"},
    },
}
_REFUSALS = {
    "400": "not what is wanted",
    "401": "no key, or a wrong one",
    "403": "from another site's page",
    "404": "no such model or path",
    "413": "too many bytes or texts",
    "415": "not JSON",
    "421": "by another name than the server's",
    "429": "too much waits; Retry-After says when to come again",
    "503": "the index or the model cannot be asked just now; Retry-After says when to come again",
}


def describe(paths: frozenset[str]) -> dict[str, Any]:
    """The document of a server that serves some of the paths."""
    known = {
        "/v1/embeddings": _post("Vectors of texts", EmbeddingRequest, _EMBEDDINGS),
        "/search": _post("Hits for a question", SearchRequest, _HITS),
        "/v1/models": _get("The names under which the model is served"),
        "/languages": _get("Languages of the corpus, and of what the last questions were shown"),
        "/health": _get("Whether the server lives", key=False),
        "/metrics": _get("Counters for Prometheus", "text/plain"),
        "/": _get("The page", "text/html", key=False),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "isoglot", "version": __version__},
        "security": [{"key": []}, {}],
        "paths": {path: known[path] for path in known if path in paths},
        "components": {
            "schemas": {"Hit": _HIT, "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _get(summary: str, kind: str = "application/json", *, key: bool = True) -> dict[str, Any]:
    operation = {"summary": summary, "responses": {"200": _answer(summary, {}, kind), **_refusals()}}
    return {"get": operation if key else {**operation, "security": []}}


def _post(summary: str, body: type[BaseModel], answer: dict[str, Any]) -> dict[str, Any]:
    schema = {"application/json": {"schema": body.model_json_schema(ref_template="#/components/schemas/{model}")}}
    responses = {"200": _answer(summary, answer), **_refusals()}
    return {"post": {"summary": summary, "requestBody": {"required": True, "content": schema}, "responses": responses}}


def _answer(description: str, schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _refusals() -> dict[str, Any]:
    return {status: _answer(reason, {"$ref": "#/components/schemas/Error"}) for status, reason in _REFUSALS.items()}
