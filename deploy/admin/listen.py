"""`mutation-engine listen`: a receiver for callbacks on this machine that verifies and prints them, for integrators."""

import os
import sys
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Annotated, Any, Final, NamedTuple

import typer
from pydantic import ValidationError

from deploy.admin.installation import installation_of
from deploy.admin.status import show
from deploy.admin.terminal import FAILED, MISUSED, CommandFailed, Json, note, print_json, say

SECRET: Final = "ENGINE_WEBHOOK_SECRET"  # noqa: S105  the name of a variable
LARGEST_BYTES: Final = 4 * 1024 * 1024
IDLE_SECONDS: Final = 30.0

Host = Annotated[str, typer.Option(help="Where to listen; anything but loopback is open to others.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")]
Secret = Annotated[str | None, typer.Option(help=f"whsec_…; {SECRET}, or that of tenant demo on this machine.")]
Answer = Annotated[int, typer.Option("--answer", min=200, max=599, help="The status of every answer: rehearse yours.")]
Count = Annotated[int, typer.Option(min=0, help="End after so many callbacks; 0: stay until Ctrl-C.")]


def main(
    ctx: typer.Context,
    host: Host = "127.0.0.1",
    port: Port = 8090,
    secret: Secret = None,
    answer: Answer = 204,
    count: Count = 0,
    as_json: Json = False,
) -> None:
    """Receive callbacks, verify their signatures as Standard Webhooks, print them. Exit code 1 when one did not verify.

    mutation-engine listen --secret whsec_…

    mutation-engine listen --port 0 --count 1 --json | jq .body.data.status
    """
    listener = Listener((host, port), _verifier(ctx, secret), answer)
    note(f"Send writes with callbackUrl http://{host}:{listener.server_port}/ and see them here. Stop with Ctrl-C.")
    note(
        "A gateway refuses private addresses like this one, but for those in ENGINE_EGRESS_ALLOW (up --allow-loopback)."
    )
    taken = forged = 0
    with listener, suppress(KeyboardInterrupt):
        while not count or taken < count:
            listener.handle_request()
            for came in listener.taken():
                taken, forged = taken + 1, forged + (came.refused is not None)
                _print(came, as_json)
    raise typer.Exit(FAILED if forged else 0)


def _verifier(ctx: typer.Context, given: str | None) -> Any:
    try:
        from standardwebhooks import Webhook
        from standardwebhooks.webhooks import EmptyWebhookSecretError
    except ImportError:
        raise CommandFailed(FAILED, "The package standardwebhooks is missing: pip install standardwebhooks") from None
    known = given or os.environ.get(SECRET)
    if not known and (handle := installation_of(ctx).handle()):
        known = (handle["tenants"] or {}).get("demo", {}).get("webhookSecret")
    if not known or not known.startswith("whsec_"):
        raise CommandFailed(MISUSED, f"Give the tenant's webhook secret: --secret whsec_…, or set {SECRET}.")
    try:
        return Webhook(known)
    except (ValueError, RuntimeError, EmptyWebhookSecretError) as error:
        raise CommandFailed(MISUSED, f"That is no webhook secret ({error}).") from None


class Came(NamedTuple):
    """A callback: its id, what it says, and why it is none of ours if it is not."""

    identity: str | None
    event: Any
    refused: str | None


class Listener(HTTPServer):
    """Takes one request after the other. Raises CommandFailed for a port that is taken."""

    def __init__(self, address: tuple[str, int], webhook: Any, answer: int) -> None:
        self.webhook, self.answer, self.came = webhook, answer, list[Came]()
        try:
            super().__init__(address, _Handler)
        except (OSError, OverflowError) as error:
            raise CommandFailed(FAILED, f"Nobody can listen at {address[0]}:{address[1]}: {error}.") from None

    def taken(self) -> list[Came]:
        """What has been answered since this was asked."""
        came, self.came = self.came, []
        return came

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up in the middle, or speaks oddly, is no reason to end."""
        note(f"{client_address[0]} could not be served: {sys.exception()!r}")


class _Handler(BaseHTTPRequestHandler):
    server: Listener
    timeout = IDLE_SECONDS

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > LARGEST_BYTES:
            self._reply(413)
            return
        body = self.rfile.read(int(length))
        refused, event = self._verified(body)
        self.server.came.append(Came(self.headers.get("webhook-id"), event, refused))
        self._reply(self.server.answer if refused is None else 401)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what came is printed."""

    def _reply(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def _verified(self, body: bytes) -> tuple[str | None, Any]:
        from standardwebhooks import WebhookVerificationError

        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            return None, self.server.webhook.verify(body.decode(), headers)
        except (WebhookVerificationError, ValueError) as error:
            return str(error) or type(error).__name__, None


def _print(came: Came, as_json: bool) -> None:
    at, verified = datetime.now().astimezone(), came.refused is None
    if as_json:
        told = {"at": at, "webhookId": came.identity, "verified": verified, "error": came.refused, "body": came.event}
        print_json(told)
    elif not verified:
        say(f"{at:%H:%M:%S}  NOT VERIFIED  {came.identity or 'no webhook-id'}  {came.refused}", "red")
    elif outcome := _outcome(came.event):
        say(f"{at:%H:%M:%S}  verified  {came.identity}", "green")
        show(outcome, as_json=False)
    else:
        say(f"{at:%H:%M:%S}  verified, but no outcome of ours  {came.identity}", "yellow")


def _outcome(event: Any) -> dict[str, Any] | None:
    """What it tells of a mutation; None for what has not the form of this release, though it is signed."""
    from services.ingest.schemas_topics import Outcome, OutcomeMessage

    try:
        told = OutcomeMessage.model_validate(event).data
    except ValidationError:
        return None
    return told.model_dump(by_alias=True, include=set(Outcome.model_fields))
