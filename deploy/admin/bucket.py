"""Creates the bucket and, where the store takes it, the lifecycle rule for `staging/`: the net below the sweeper."""

import asyncio
from typing import TYPE_CHECKING, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from shared.blobs import authority
from shared.errors import DependencyUnavailable
from shared.settings import EngineSettings

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

STAGING_DAYS: Final = 4
PAUSE_SECONDS: Final = 0.2
THERE = {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}


async def create_bucket(settings: EngineSettings, patience_seconds: float) -> bool:
    """Create the bucket, waiting for the store; whether it took the lifecycle rule. Raises DependencyUnavailable."""
    clock = asyncio.get_running_loop().time
    until = clock() + patience_seconds
    while True:
        try:
            return await _create(settings)
        except (BotoCoreError, ClientError) as error:
            if clock() > until:
                raise DependencyUnavailable("s3", str(error)) from error
            await asyncio.sleep(PAUSE_SECONDS)


async def _create(settings: EngineSettings) -> bool:
    async with get_session().create_client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        verify=authority(settings),
        config=AioConfig(
            connect_timeout=2, read_timeout=10, retries={"max_attempts": 0}, s3={"addressing_style": "path"}
        ),
    ) as client:
        try:
            await client.create_bucket(Bucket=settings.s3_bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in THERE:
                raise
        return await _expire_staging(client, settings.s3_bucket)


async def _expire_staging(client: "S3Client", bucket: str) -> bool:
    try:
        await client.put_bucket_lifecycle_configuration(
            Bucket=bucket,
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "staging",
                        "Status": "Enabled",
                        "Filter": {"Prefix": "staging/"},
                        "Expiration": {"Days": STAGING_DAYS},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": STAGING_DAYS},
                    }
                ]
            },
        )
    except ClientError:
        return False
    return True
