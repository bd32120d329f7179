"""HTTP to documents and back, driven by the API models that botocore publishes.

This room knows HTTP and shapes. It knows no service, no store and no job: nothing here may name an operation
except where a protocol itself makes an exception for it.
"""
