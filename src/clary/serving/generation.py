"""Text generation: transformers' pipeline with prompts that fit, one after the other, or as a stream of pieces."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from queue import Queue
from typing import Any

from clary.serving.calls import Answer, Call, shown
from clary.serving.faults import RequestFault
from clary.serving.pipelines import PipelinePredictor
from clary.serving.reading import note, too_long

USUAL_NEW_TOKENS = 256
UNLIMITED = 1_000_000
WITHOUT_EFFECT = {"return_full_text", "return_text", "clean_up_tokenization_spaces"}  # on a stream


class GenerationPredictor(PipelinePredictor):
    """Prompts one by one. One that is too long for the model loses its beginning, or is refused."""

    def several(self, calls: Sequence[Call]) -> list[Answer | Exception]:
        return [self._each(call) for call in calls]

    def _each(self, call: Call) -> Answer | Exception:
        if not _is_list_of_prompts(call.inputs):
            return self._tried(call)
        answers = []
        for prompt in call.inputs:
            answer = self._tried(Call(prompt, call.parameters))
            if isinstance(answer, Exception):
                return answer
            answers.append(answer)
        notes = list(dict.fromkeys(answer.note for answer in answers if answer.note))
        return Answer([answer.value for answer in answers], "; ".join(notes) or None)

    def stream(self, call: Call) -> Iterator[bytes]:
        """The text that is made, in UTF-8, piece by piece. Closing ends the work. Raises as a call does."""
        if _is_list_of_prompts(call.inputs):
            raise RequestFault("inputs: one prompt expected for a stream, not a list")
        for name in ("num_return_sequences", "num_beams"):
            if call.parameters.get(name, 1) != 1:
                raise RequestFault(f"parameters.{name}: a stream has one sequence, made without beams")
        whole = bool(call.parameters.get("return_full_text", False))
        pieces = _Pieces(self.made.tokenizer, skip_prompt=not whole)
        parameters = {name: value for name, value in call.parameters.items() if name not in WITHOUT_EFFECT}
        worker = threading.Thread(
            target=self._stream_into, args=(pieces, Call(call.inputs, parameters)), name="clary-generation"
        )
        worker.start()
        try:
            yield from pieces
        finally:
            pieces.is_wanted = False
            worker.join()

    def _stream_into(self, pieces: _Pieces, call: Call) -> None:
        try:
            self._answered(Call(call.inputs, {**call.parameters, **pieces.parameters()}))
            pieces.put(None)
        except Exception as error:  # noqa: BLE001 - raised where the pieces are taken
            pieces.put(error)

    def _fitted(self, call: Call) -> tuple[dict[str, Any], str | None]:
        given = dict(call.parameters)
        limit = self._limit()
        if limit is None or "handle_long_generation" in given:
            return given, None
        length = self._prompt_length(call.inputs)
        new = self._new_tokens(given, length)
        if length + new <= limit:
            return given, None
        given.pop("max_length", None)
        if length < limit:
            room = limit - length
            told = f"at most {room} tokens are made: prompt and answer together take at most {limit}"
            return given | {"max_new_tokens": room}, told
        if not self._truncate or not isinstance(call.inputs, str):
            raise RequestFault(too_long(length, limit))
        new = min(new, limit // 2)
        given |= {"max_new_tokens": new, "handle_long_generation": "hole"}
        return given, note(1, 1, limit - new)

    def _limit(self) -> int | None:
        """Tokens of prompt and answer together, or None where nothing tells."""
        config = self.made.model.config
        told = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]
        known = [number for number in told if isinstance(number, int) and number > 0]
        if self.made.tokenizer.model_max_length < UNLIMITED:
            known.append(self.made.tokenizer.model_max_length)
        limit = min(known, default=None)
        if limit is not None:
            self.made.tokenizer.model_max_length = limit
        return limit

    def _prompt_length(self, prompt: Any) -> int:
        if isinstance(prompt, str):
            return len(self.made.tokenizer(prompt, verbose=False)["input_ids"])
        if not _is_chat(prompt):
            raise RequestFault(
                f'inputs: a prompt, or a list of {{"role", "content"}}, expected, not {shown(prompt)}'
            )
        if getattr(self.made.tokenizer, "chat_template", None) is None:
            raise RequestFault(
                "inputs: the model's tokenizer has no chat template: send the prompt as one text"
            )
        ids = self.made.tokenizer.apply_chat_template(prompt, add_generation_prompt=True)
        return len(ids["input_ids"] if isinstance(ids, Mapping) else ids)

    def _new_tokens(self, given: Mapping[str, Any], length: int) -> int:
        for name in ("max_new_tokens", "max_length"):
            if name in given and (type(given[name]) is not int or given[name] < 1):
                raise RequestFault(
                    f"parameters.{name}: a number of at least 1 expected, not {shown(given[name])}"
                )
        usual = self.made.model.generation_config
        if (new := given.get("max_new_tokens")) is not None:
            return int(new)
        if (most := given.get("max_length")) is not None:
            return max(1, int(most) - length)
        return int(getattr(usual, "max_new_tokens", None) or USUAL_NEW_TOKENS)


def _is_chat(inputs: Any) -> bool:
    return isinstance(inputs, list) and bool(inputs) and all(isinstance(message, dict) for message in inputs)


def _is_list_of_prompts(inputs: Any) -> bool:
    return isinstance(inputs, list) and not _is_chat(inputs)


class _Pieces:
    """Between the thread that makes text and the one that takes it."""

    def __init__(self, tokenizer: Any, *, skip_prompt: bool) -> None:
        from transformers import TextIteratorStreamer

        self.is_wanted = True
        self._streamer = TextIteratorStreamer(tokenizer, skip_prompt=skip_prompt, skip_special_tokens=True)
        self._queue: Queue[Any] = self._streamer.text_queue
        self._last = self._streamer.stop_signal

    def parameters(self) -> dict[str, Any]:
        """What makes a pipeline stream into this."""
        from transformers import StoppingCriteriaList

        return {"streamer": self._streamer, "stopping_criteria": StoppingCriteriaList([self._ended])}

    def put(self, end: Exception | None) -> None:
        self._queue.put((end,))

    def __iter__(self) -> Iterator[bytes]:
        while True:
            piece = self._queue.get()
            if isinstance(piece, tuple):
                if piece[0] is not None:
                    raise piece[0]
                return
            if piece is not self._last and piece:
                yield piece.encode("utf-8", "surrogatepass")

    def _ended(self, ids: Any, _scores: Any, **_: Any) -> Any:
        import torch

        return torch.full((ids.shape[0],), not self.is_wanted, device=ids.device)
