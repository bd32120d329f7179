"""The life of a request, and the place where all parts are put together."""
