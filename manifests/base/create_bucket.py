"""Creates the bucket that stages, MLflow and KFP write to, unless it is there; run by the Job `create-bucket`.

Waits for S3, which may start later, and says one line about what it did, what it waits for, or what refuses.
"""

import os
import sys
import time
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

WAIT_SECONDS = float(os.environ.get("WAIT_SECONDS", "900"))
PAUSE_SECONDS = 3


def main() -> None:
    bucket, deadline = os.environ["BUCKET"], time.monotonic() + WAIT_SECONDS
    s3 = boto3.client("s3", config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 1}))
    told = False
    while True:
        try:
            print(f"bucket {bucket} {_make(s3, bucket)}", flush=True)
            return
        except (ConnectionError, HTTPClientError, ClientError) as error:
            if not _is_away(error) or time.monotonic() > deadline:
                sys.exit(f"error: S3 at {s3.meta.endpoint_url}, bucket {bucket}: {' '.join(str(error).split())}")
            if not told:
                print(f"waiting for S3 at {s3.meta.endpoint_url}", flush=True)
                told = True
            time.sleep(PAUSE_SECONDS)
        except BotoCoreError as error:
            sys.exit(f"error: the Secret's settings for S3 can't be used: {error}")


def _make(s3: Any, bucket: str) -> str:
    try:
        s3.head_bucket(Bucket=bucket)
        return "exists"
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
    region = s3.meta.region_name
    if region in ("us-east-1", "aws-global"):  # Amazon's default, which it does not want to be told
        s3.create_bucket(Bucket=bucket)
    else:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    return "created"


def _is_away(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return True
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) >= 500


if __name__ == "__main__":
    main()
