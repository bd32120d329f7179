"""A verb per API operation: check the meaning, write the intent to the store, answer."""
