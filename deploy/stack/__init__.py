"""The whole system on one machine, from Python packages: servers, services, and the supervisor that keeps them."""

from deploy.stack.embedded import EmbeddedStack, StackFailed

__all__ = ["EmbeddedStack", "StackFailed"]
