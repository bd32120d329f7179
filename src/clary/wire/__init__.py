"""HTTP to documents and back, driven by the API models that botocore publishes.

This room knows HTTP and shapes. It knows no service, no store and no job: nothing here may name an operation
except where a protocol itself makes an exception for it.

The codec, in the order of a request's life (all blocking; all but `route` raise `clary.errors.Fault`s):

    route.route(request, *, virtual_hosts=()) -> Route      head only; never reads the body, never raises
    (authenticate here)
    route.settle(route, request) -> (Route, HttpRequest)    reads the form of a query-protocol request for its Action;
                                                            a no-op otherwise. Go on with the pair it gives
    faults.unknown_operation(route) -> ClientFault          to raise when route.operation is None, or when route.key
                                                            (service, operation) is not in the table of operations
    decode.decode(request, route) -> dict[str, Any]         timestamps: float epoch seconds; streaming payload: the
                                                            request's Body, unread
    validate.validate(params, route.operation, *, open_enums=()) -> None
    encode.encode(route, result, *, request_id="", status=None, headers=()) -> HttpResponse
    faults.encode_fault(route | protocol, fault, *, request_id, resource="", head=False, headers=()) -> HttpResponse

`decode` and `encode` of a streaming payload pass bodies through; `encode` sets Content-Length where it is known.
"""
