"""How Structs stand in the OpenAPI document: their names, and what they refuse."""

from dataclasses import fields
from functools import cache
from typing import Any, get_args, get_origin

import msgspec
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin  # no public name for it
from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.typing import FieldDefinition

__all__ = ("StructSchemas", "generatable", "plain")


class StructSchemas(StructSchemaPlugin):
    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        struct = field_definition.annotation
        if get_origin(struct):
            named = FieldDefinition.from_annotation(named_struct(struct))
            return schema_creator.for_field_definition(named)  # type: ignore[no-any-return]  # the creator is private
        schema = super().to_openapi_schema(field_definition, schema_creator)
        schema.description = struct.__dict__.get("__doc__")
        schema.properties = {name: plain(property) for name, property in (schema.properties or {}).items()}
        if struct.__struct_config__.forbid_unknown_fields:
            schema.additional_properties = False
        return schema


@cache
def named_struct(generic: Any) -> type[msgspec.Struct]:
    """`Page[Project]` as a type that is called `ProjectPage`."""
    arguments = get_args(generic)
    name = "".join(argument.__name__ for argument in arguments) + get_origin(generic).__name__
    members = [
        (field.name, field.type) if field.required else (field.name, field.type, field.default)
        for field in msgspec.structs.fields(generic)
    ]
    origin = get_origin(generic)
    return msgspec.defstruct(
        name,
        members,
        module=arguments[0].__module__,
        namespace={"__doc__": origin.__dict__.get("__doc__")},
        forbid_unknown_fields=origin.__struct_config__.forbid_unknown_fields,
    )


def plain(schema: Schema | Reference, *, null: bool = True) -> Schema | Reference:
    """With a `type` in the place of a `oneOf` that names one type, or one type and null."""
    if isinstance(schema, Reference) or not schema.one_of:
        return schema
    options = [option for option in schema.one_of if getattr(option, "type", None) != OpenAPIType.NULL]
    option = options[0]
    if len(options) > 1 or isinstance(option, Reference) or option.enum or not isinstance(option.type, OpenAPIType):
        return schema
    nullable = null and len(options) < len(schema.one_of)
    schema.one_of = None
    for field in fields(Schema):
        if getattr(schema, field.name) is None:
            setattr(schema, field.name, getattr(option, field.name))
    schema.type = [option.type, OpenAPIType.NULL] if nullable else option.type
    return schema


def generatable(schema: Schema | Reference | None) -> Schema | Reference | None:
    """Of an answer: what generators of clients make a type of, and not only of one JSON has."""
    if not isinstance(schema, Schema) or schema.to_schema():
        return schema
    return Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
