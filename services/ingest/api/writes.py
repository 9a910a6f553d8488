"""How a write comes in, whatever it asks for: caller, body, controls, check, fingerprint, acceptance, 202."""

from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers
from services.ingest.api.gateway import controls, gateway_of, path_id
from services.ingest.operations import Asked, prepare
from services.ingest.problems import FieldError, invalid, no_record
from services.ingest.record_types import RecordType
from shared.crash_points import crash_point
from shared.events import Kind


async def accept(request: Request, operation: Kind, record_type: RecordType | None = None) -> Response:
    """The 202 of a write whose payload is the body, for the record whose id is in the path, if any. Raises Problem."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    record_id = None
    if record_type and "id" in request.path_params:
        record_id = path_id(request)
        if record_id is None:
            raise no_record(record_type.name)
    async with gateway.bodies.read(request, caller.tenant, optional=operation == "erase") as body:
        errors: list[FieldError] = []
        steering = controls(request, body.value, gateway.policy, errors)
        asked = Asked(operation, record_type, record_id, body.value)
        prepared = await prepare(body.size, asked, gateway.policy, errors)
        if prepared is None or errors:
            raise invalid(errors)
        write = steering.write(request, caller, prepared)
        result = await prepared.accept(gateway.intake, write)
    crash_point("ingest.answering")
    return answers.accepted(request, write.key, result)
