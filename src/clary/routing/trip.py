"""One request on its way: to an instance, or to the next one where the first surely did not begin it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clary.domain.endpoints import Instance, Route, routes
from clary.routing.ask import REFUSED, Answer, Ask, NoAnswer, WhyNot
from clary.routing.capture import Capture, Captured, Side, capture_config
from clary.routing.choice import choose_route, is_random, is_serverless, sleeps
from clary.routing.connections import Connections, NotBegun
from clary.routing.exchange import Call, Died, Exchange, Heard, TimedOut, TooLarge
from clary.routing.flights import Flights
from clary.routing.gauges import Flown, Gauges
from clary.routing.underway import Underway
from clary.settings import Settings
from clary.store.base import Resource
from clary.wire.http import Hangup

PATH = "/invocations"
STREAM = {"X-Clary-Stream": "true"}
TIMEOUT = "X-Clary-Timeout"  # seconds that somebody waits: who works on it need not go on for longer

WAKE_S = 180.0  # until a variant that sleeps must have an instance
REPLACE_S = 10.0  # until an instance that is down must have a successor
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.1

MIB = 1 << 20
SERVERLESS_MIB = 4
ASYNCHRONOUS_MIB = 1024
STREAM_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Means:
    """What trips are made with. `look(name)` gives an endpoint's row, or raises NoAnswer."""

    flights: Flights
    connections: Connections
    settings: Settings
    now: Callable[[], float]
    wake: Callable[[], None]
    look: Callable[[str], Resource]
    gauges: Gauges
    capture: Capture | None
    underway: Underway


class Trip:
    """Counted as a visit to the variant from before it was made until it `end`s."""

    def __init__(self, means: Means, endpoint: Resource, ask: Ask, route: Route, *, draw: float) -> None:
        """`draw`: from 0 up to 1, what chose the route."""
        self._means = means
        self._endpoint = endpoint
        self._ask = ask
        self._route = route
        self._draw = draw
        self._began = time.perf_counter() if ask.came is None else ask.came
        self._tried: set[str] = set()
        self._instance: Instance | None = None
        self._exchange: Exchange | None = None
        self._asked = 0.0  # when the instance was, by perf_counter
        self._model_s: float | None = None
        self._waited_s = 0.0
        self._hangup = ask.hangup or Hangup()
        self._is_left = threading.Event()
        self._is_over = False

    def go(self) -> Answer:
        """Raises NoAnswer. The trip ends with the answer, or with the last piece of its body."""
        self._means.underway.add(self._leave)
        self._hangup.tell(self._leave)
        try:
            heard, instance = self._reach()
            if self._ask.stream and heard.status < 300:
                return Answer(
                    heard.status, heard.headers, Pieces(self, heard), self._route.variant, instance.id
                )
            body = b"".join(self.read())
            self._model_s = time.perf_counter() - self._asked
            self._capture(heard, body)
            self.end(heard.status)
            return Answer(heard.status, heard.headers, body, self._route.variant, instance.id)
        except NoAnswer as fault:
            self.end(None, fault)
            raise
        except BaseException:
            self.end(None)
            raise

    def end(self, status: int | None, fault: NoAnswer | None = None) -> None:
        """Give back what it holds, and note how it went. Further calls do nothing."""
        if self._is_over:
            return
        self._is_over = True
        self._hangup.spare(self._leave)
        self._means.underway.remove(self._leave)
        self._put_down()
        means, name = self._means, self._endpoint.name
        means.flights.leave(name, self._route.variant, now=means.now())
        if fault is not None and fault.kind == "left":
            return
        over = time.perf_counter()
        model_s = self._model_s or (over - self._asked if self._asked else None)
        total_s = over - self._began
        means.gauges.note(
            Flown(
                endpoint=name,
                variant=self._route.variant,
                instances=len(self._route.instances),
                status=status,
                model_s=model_s,
                overhead_s=max(total_s - model_s - self._waited_s, 0.0) if model_s is not None else None,
                setup_s=self._waited_s if self._waited_s and is_serverless(self._route) else None,
            )
        )

    def _reach(self) -> tuple[Heard, Instance]:
        """The head of an answer, and whose it is."""
        until: float | None = None
        while True:
            instance = self._means.flights.board(
                self._route.instances, apart=self._tried, at_random=is_random(self._route)
            )
            if instance is None:
                until = until or time.monotonic() + self._patience_s()
                self._wait(until)
                continue
            self._instance = instance
            heard = self._head_from(instance)
            if heard is not None:
                return heard, instance
            self._tried.add(instance.id)
            self._put_down()

    def _head_from(self, instance: Instance) -> Heard | None:
        """None: it did not begin the request, and another may be asked."""
        self._asked = time.perf_counter()
        try:
            self._exchange = Exchange(self._means.connections, instance.address, self._call())
            if self._is_left.is_set():
                self._exchange.abort()
            heard = self._exchange.begin()
        except NotBegun:
            self._asked = 0.0
            self._means.wake()
            return None
        except (TimedOut, Died) as error:
            raise self._no_answer(error) from None
        others = any(one.id not in self._tried and one.id != instance.id for one in self._route.instances)
        return None if heard.status == 503 and REFUSED in heard.headers and others else heard

    def read(self) -> Iterator[bytes]:
        """The body of the answer. Raises NoAnswer."""
        assert self._exchange is not None
        try:
            yield from self._exchange.pieces()
        except (TimedOut, Died, TooLarge) as error:
            raise self._no_answer(error) from None

    def _wait(self, until: float) -> None:
        """Until there is an instance, tried before or not. Raises NoAnswer."""
        means, name = self._means, self._endpoint.name
        began, pause_s = time.perf_counter(), FIRST_PAUSE_S
        with means.flights.knock(name, self._route.variant):
            means.wake()
            while True:
                if self._is_left.wait(pause_s):
                    raise self._left()
                self._endpoint = means.look(name)
                self._change_route()
                if self._route.instances:
                    break
                if time.monotonic() > until:
                    raise self._nobody()
                pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
        self._waited_s += time.perf_counter() - began
        if time.monotonic() > until:
            raise self._nobody()
        self._tried.clear()

    def _change_route(self) -> None:
        state = self._endpoint.state
        route = choose_route(state, routes(state), self._ask.variant, draw=self._draw)
        if route.variant != self._route.variant:
            flights, name, now = self._means.flights, self._endpoint.name, self._means.now()
            flights.leave(name, self._route.variant, now=now)
            flights.enter(name, route.variant, now=now)
        self._route = route

    def _patience_s(self) -> float:
        return WAKE_S if sleeps(self._endpoint.state, self._route) else REPLACE_S

    def _nobody(self) -> NoAnswer:
        name, variant = self._endpoint.name, self._route.variant
        if sleeps(self._endpoint.state, self._route):
            message = (
                f"variant {variant} of endpoint {name} did not get ready within {WAKE_S:.0f} s; try again"
            )
            return NoAnswer("not ready", message, variant=variant)
        message = f"no instance of variant {variant} of endpoint {name} takes requests now; try again"
        return NoAnswer("refused", message, variant=variant)

    def _call(self) -> Call:
        ask = self._ask
        headers = {**ask.headers, TIMEOUT: f"{ask.timeout_s:g}", **(STREAM if ask.stream else {})}
        return Call(PATH, headers, ask.body, ask.timeout_s, self._most(), ask.stream)

    def _most(self) -> int:
        if self._ask.stream:
            return STREAM_MIB * MIB
        if self._ask.asynchronous:
            return ASYNCHRONOUS_MIB * MIB
        limit = self._means.settings.payload_mib
        return int((min(limit, SERVERLESS_MIB) if is_serverless(self._route) else limit) * MIB)

    def _no_answer(self, error: TimedOut | Died | TooLarge) -> NoAnswer:
        if self._is_left.is_set():
            return self._left()
        kind: WhyNot
        if isinstance(error, TimedOut):
            kind, message = "timeout", f"no answer within {self._ask.timeout_s:g} s"
        elif isinstance(error, TooLarge):
            kind, message = "too large", str(error)
        else:
            kind, message = "died", str(error)
            self._means.wake()
        instance = self._instance.id if self._instance else ""
        return NoAnswer(kind, message, variant=self._route.variant, instance=instance)

    def _left(self) -> NoAnswer:
        if self._hangup.has_come:
            return NoAnswer("left", "the client hung up", variant=self._route.variant)
        return NoAnswer("refused", "the server ends; try again in a moment", variant=self._route.variant)

    def _leave(self) -> None:
        """The client has gone, or the server ends: whoever waits for the instance wakes up."""
        self._is_left.set()
        exchange = self._exchange  # the thread that works for the request may put it down meanwhile
        if exchange is not None:
            exchange.abort()

    def _put_down(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None
        if self._instance is not None:
            self._means.flights.land(self._instance.id)
            self._instance = None

    def _capture(self, heard: Heard, body: bytes) -> None:
        capture, ask = self._means.capture, self._ask
        generation = self._endpoint.state["generations"][self._route.generation]
        config = capture_config(generation["config"])
        if capture is None or config is None or ask.asynchronous or not capture.wants(config):
            return
        sent = {name.lower(): value for name, value in ask.headers.items()}
        capture.note(
            Captured(
                endpoint=self._endpoint.name,
                variant=self._route.variant,
                config=config,
                request=Side(sent.get("content-type", ""), ask.body),
                answer=Side(heard.headers.get("content-type", ""), body),
                inference_id=sent.get("x-amzn-sagemaker-inference-id"),
                at=self._means.now(),
            )
        )


class Pieces:
    """An answer's body as it comes. Holds the connection until its end, or until `close`."""

    def __init__(self, trip: Trip, heard: Heard) -> None:
        self._trip = trip
        self._heard = heard
        self._source = trip.read()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._source)
        except StopIteration:
            self._trip.end(self._heard.status)
            raise
        except NoAnswer as fault:
            self._trip.end(None, fault)
            raise

    def close(self) -> None:
        """Let go of an answer that nobody wants to its end."""
        self._trip.end(self._heard.status)
