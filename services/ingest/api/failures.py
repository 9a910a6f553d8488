"""Every error becomes a problem: ours, those of our dependencies, the framework's own, and bugs."""

import asyncio

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.ingest.api.answers import problem
from services.ingest.problems import Problem, unavailable
from shared.errors import DependencyUnavailable
from shared.tenant_registry import NoSealingKey, NotRegistered

FRAMEWORK_CODES = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 422: "validation_failed"}


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, DependencyUnavailable):
        return unavailable()
    if isinstance(error, NotRegistered):
        return Problem("not_found", str(error))
    if isinstance(error, NoSealingKey):
        return unavailable("This gateway makes no webhook secrets: it runs without ENGINE_SECRETS_KEY_FILE.")
    if isinstance(error, RequestValidationError):
        return Problem("validation_failed")
    if isinstance(error, HTTPException):
        return Problem(FRAMEWORK_CODES.get(error.status_code, "malformed_request"), headers=dict(error.headers or {}))
    return Problem("malformed_request") if isinstance(error, ClientDisconnect) else Problem("internal_error")


async def _answer(request: Request, error: Exception) -> Response:
    refusal = _problem(error)
    if isinstance(error, HTTPException) and error.status_code == 405:
        refusal.headers["Allow"] = _allowed(request)
    return problem(refusal, request.state.instance, request.state.sandbox)


def _allowed(request: Request) -> str:
    """The methods of every route of this path; the framework names those of the first one only."""
    routes = (context.original_route for context in iter_route_contexts(request.app.routes))
    matching = [route for route in routes if isinstance(route, Route) and route.matches(request.scope)[0] != Match.NONE]
    literal = min((route.path for route in matching), key=lambda path: path.count("{"), default="")
    methods = {method for route in matching if route.path == literal for method in route.methods or ()}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


class StrayCancellation(Exception):
    """Somebody let a cancellation out that was not meant for this request: a bug like any other."""


class Uncancelled:
    """Turns cancellations that nobody asked of the request's task into bugs.

    They are no Exception, so they would pass every handler, and the server would answer with bare words of its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI call. Raises StrayCancellation."""
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise StrayCancellation from error


def attach(app: FastAPI) -> None:
    """Answer these with problems; a bug is raised again after its answer, so that it is logged."""
    app.add_middleware(Uncancelled)
    ours = (Problem, DependencyUnavailable, NotRegistered, NoSealingKey)
    for kind in (*ours, RequestValidationError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _answer)
