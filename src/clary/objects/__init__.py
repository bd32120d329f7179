"""The object store: blobs on disk and their index in the database. Keys are not paths."""
