"""A real S3 server on loopback, for the slow tests: any client speaks to it by HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BUCKET = "corpora"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Store:
    """The bucket as another client sees it: boto3, not the one of the program."""

    def __init__(self, address: str) -> None:
        import boto3

        self.environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}
        keys = ("aws_access_key_id", "aws_secret_access_key")
        self.client = boto3.client(
            "s3", endpoint_url=address, region_name="us-east-1", **dict.fromkeys(keys, "testing")
        )
        self.client.create_bucket(Bucket=BUCKET)
        self.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def objects(self, folder: str) -> dict[str, Any]:
        """Return what lies below a folder, by name without it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{folder}/")
        return {found["Key"][len(folder) + 1 :]: found for page in pages for found in page.get("Contents", [])}

    def read(self, folder: str, inside: str) -> dict[str, bytes]:
        """Return the bytes of all objects in a folder of a folder, by name without either."""
        names = [name for name in self.objects(folder) if name.startswith(f"{inside}/")]
        read = {name: self.client.get_object(Bucket=BUCKET, Key=f"{folder}/{name}")["Body"].read() for name in names}
        return {name[len(inside) + 1 :]: data for name, data in read.items()}

    def times_put(self, folder: str) -> dict[str, int]:
        """Return how often each object was written, the bucket being versioned."""
        counts: dict[str, int] = {}
        for page in self.client.get_paginator("list_object_versions").paginate(Bucket=BUCKET, Prefix=f"{folder}/"):
            for version in page.get("Versions", []):
                name = version["Key"][len(folder) + 1 :]
                counts[name] = counts.get(name, 0) + 1
        return counts

    def ledger(self, folder: str) -> dict[str, float]:
        """Return when each shard that is in the ledger was finished."""
        entries = [json.loads(data) for data in self.read(folder, ".run/shards").values()]
        return {entry["name"]: entry["finished"] for entry in entries}


@contextmanager
def serving() -> Iterator[Store]:
    """Run the server on a free port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Store(f"http://{host}:{port}")
    finally:
        server.stop()
