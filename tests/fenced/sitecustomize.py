"""Python imports this at start where PYTHONPATH leads here: the fence of tests/fence.py around a service."""

from tests.fence import fence_this_process

fence_this_process()
