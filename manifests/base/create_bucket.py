"""Creates the bucket that stages, MLflow and KFP write to, unless it is there; run by the Job `create-bucket`."""

import os
from typing import Any

import boto3
from botocore.exceptions import ClientError

bucket = os.environ["BUCKET"]
s3 = boto3.client("s3")
region: Any = s3.meta.region_name
try:
    s3.head_bucket(Bucket=bucket)
    print(f"bucket {bucket} exists")
except ClientError as error:
    if error.response["Error"]["Code"] != "404":
        raise
    if region in ("us-east-1", "aws-global"):  # Amazon's default, which it does not want to be told
        s3.create_bucket(Bucket=bucket)
    else:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    print(f"bucket {bucket} created")
