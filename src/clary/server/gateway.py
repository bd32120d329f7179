"""The life of an API request, on one screen: route, authenticate, decode, validate, dispatch, encode.

Each step is a verb of another room. Whatever a step raises becomes an error document in the protocol the client
spoke; that is the last step, and the only one with a broad `except`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from botocore.model import OperationModel

from clary.domain.names import Account
from clary.errors import ClientFault, Fault, InternalFailure
from clary.objects.base import Objects
from clary.routing.router import Router
from clary.services.operations import MOST_INSTANCES, OPERATIONS, Context, Operation, Reply
from clary.settings import Settings
from clary.store.base import Credential, Store
from clary.wire.checksums import checked
from clary.wire.decode import decode
from clary.wire.encode import encode
from clary.wire.faults import encode_fault, unknown_operation
from clary.wire.http import HttpRequest, HttpResponse
from clary.wire.route import DOCUMENT_LIMIT_BYTES, Route, route, settle
from clary.wire.sigv4 import Verifier
from clary.wire.validate import validate

log = logging.getLogger("clary.server")

# Published lists that do not bound us: any name of an instance type is accepted, the table of types says what it means.
# A strategy may come from a plug-in; the service knows the names there are. How much an endpoint takes is a setting.
OPEN_ENUMS = (
    *("TrainingInstanceType", "ProcessingInstanceType", "ProductionVariantInstanceType"),
    "TransformInstanceType",
    "HyperParameterTuningJobStrategyType",
    "BodyBlob",
)


@dataclass(frozen=True, slots=True)
class World:
    """What the operations of one server work on."""

    account: Account
    settings: Settings
    store: Store
    objects: Objects
    now: Callable[[], float]
    new_id: Callable[[int], str]
    changed: Callable[[], None]
    capacity: Callable[[str], int] = lambda _: MOST_INSTANCES
    router: Router = field(kw_only=True)


class Gateway:
    """Answers requests. Blocking: call it from a worker thread, many at once."""

    def __init__(self, world: World, *, operations: Mapping[tuple[str, str], Operation] = OPERATIONS) -> None:
        self._world = world
        self._operations = operations
        self._verifier = Verifier()

    @property
    def store(self) -> Store:
        return self._world.store

    def answer(self, request: HttpRequest) -> HttpResponse:
        request_id = secrets.token_hex(8).upper()
        found = route(request)
        try:
            caller, request = self.authenticate(request, service=found.service)
            found, request = settle(found, request)
            model, operation = self.find(found)
            parameters = decode(held_to_checksum(request, model), found, limit=self.limit(found.service))
            validate(parameters, model, open_enums=OPEN_ENUMS)
            reply = self.dispatch(operation, parameters, caller=caller, request=request)
            return self.finish(found, reply, request_id)
        except Fault as fault:
            if not isinstance(fault, ClientFault):
                log.error("request %s: %s: %s", request_id, fault.code, fault.message)
            return self.refuse(found, request, fault, request_id)
        except Exception:
            log.exception("request %s: %s %s failed", request_id, request.method, request.path)
            ours = InternalFailure(f"the server met a fault of its own; its log has it under {request_id}")
            return self.refuse(found, request, ours, request_id)

    def authenticate(self, request: HttpRequest, *, service: str) -> tuple[Credential, HttpRequest]:
        """Who calls, and the request whose body is checked against the signature while it is read."""
        world = self._world
        callers: dict[str, Credential] = {}

        def find(key_id: str) -> Credential | None:
            if caller := world.store.credential(key_id):
                callers[key_id] = caller
            return caller

        key_id, checked = self._verifier.authenticate(
            request,
            service=service,
            find=find,
            now=world.now(),
            max_skew_s=world.settings.clock_skew_s,
            limit=self.limit(service),
        )
        return callers[key_id], checked

    def limit(self, service: str) -> int:
        """How many bytes of a document a service takes."""
        if service == "sagemaker-runtime":
            return int(self._world.settings.payload_mib * (1 << 20))
        return DOCUMENT_LIMIT_BYTES

    def find(self, found: Route) -> tuple[OperationModel, Operation]:
        """The operation's model and the function that carries it out. Raises ClientFault if there is none."""
        model = found.operation
        operation = self._operations.get((found.service, model.name)) if model else None
        if model is None or operation is None:
            raise unknown_operation(found)
        return model, operation

    def dispatch(
        self, operation: Operation, parameters: Mapping[str, Any], *, caller: Credential, request: HttpRequest
    ) -> Reply:
        world = self._world
        context = Context(
            account=world.account,
            settings=world.settings,
            store=world.store,
            objects=world.objects,
            now=world.now,
            new_id=world.new_id,
            changed=world.changed,
            caller=caller,
            request=request,
            capacity=world.capacity,
            router=world.router,
        )
        reply = operation(context, parameters)
        return reply if isinstance(reply, Reply) else Reply(reply)

    def finish(self, found: Route, reply: Reply, request_id: str) -> HttpResponse:
        identity = ("x-amzn-RequestId", request_id)
        return encode(
            found,
            reply.result,
            request_id=request_id,
            status=reply.status,
            headers=[identity, *reply.headers],
        )

    def refuse(self, found: Route, request: HttpRequest, fault: Fault, request_id: str) -> HttpResponse:
        head = request.method == "HEAD"
        return encode_fault(found, fault, request_id=request_id, resource=request.path, head=head)


def held_to_checksum(request: HttpRequest, model: OperationModel) -> HttpRequest:
    """A document is held to the checksum sent with it, where the operation knows any; a stream by who reads it."""
    if "requestAlgorithmMember" not in model.http_checksum or model.has_streaming_input:
        return request
    return replace(request, body=checked(request.body, request.headers))
