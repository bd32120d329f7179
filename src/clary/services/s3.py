"""The S3 service: importing this offers all its operations."""

from __future__ import annotations

from clary.services import s3_buckets, s3_copy, s3_listing, s3_multipart, s3_objects, s3_tags

__all__ = ["s3_buckets", "s3_copy", "s3_listing", "s3_multipart", "s3_objects", "s3_tags"]
