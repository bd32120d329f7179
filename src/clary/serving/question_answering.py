"""Extractive question answering, as transformers' pipeline of version 4 does it: version 5 has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from clary.serving.calls import Call, Work, shown
from clary.serving.faults import RequestFault
from clary.serving.reading import Part, Reader
from clary.serving.text_classification import softmax

WITHOUT_EFFECT = {"padding", "max_question_len", "batch_size", "num_workers"}
NUMBERS = {
    "top_k": 1,
    "topk": 1,
    "max_answer_len": 1,
    "max_seq_len": 8,
    "doc_stride": 0,
}  # with the least value
SWITCHES = {"handle_impossible_answer", "align_to_words"}
KNOWN = {*NUMBERS, *SWITCHES, *WITHOUT_EFFECT}
USUAL_LENGTH, USUAL_STRIDE = 384, 128
EXPECTED = '{"question": ..., "context": ...} or a list of those'
OUTSIDE = -10000.0  # the logit of a token that cannot be in an answer


@dataclass(frozen=True, slots=True)
class Options:
    """top_k answers of at most `longest` tokens; `impossible`: "no answer" is one; `words`: whole words only."""

    top_k: int = 1
    longest: int = 15
    impossible: bool = False
    words: bool = True


class QuestionAnswering:
    """Makes calls ready. A context of any length is read whole, in pieces that overlap."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __call__(self, call: Call) -> Work:
        """Raises RequestFault."""
        given = {name: value for name, value in call.parameters.items() if value is not None}
        _check(given)
        questions = list(_questions(call.inputs))
        pieces = [self._pieces(question, context, given) for question, context in questions]
        options = Options(
            top_k=given.get("top_k", given.get("topk", 1)),
            longest=given.get("max_answer_len", 15),
            impossible=bool(given.get("handle_impossible_answer", False)),
            words=bool(given.get("align_to_words", True)),
        )
        contexts = [context for _, context in questions]
        return Work(
            [part for parts in pieces for part in parts], partial(self._finished, contexts, pieces, options)
        )

    def _pieces(self, question: str, context: str, given: Mapping[str, Any]) -> list[Part]:
        most = min(given.get("max_seq_len", USUAL_LENGTH), self._reader.limit)
        stride = given.get("doc_stride", min(most // 2, USUAL_STRIDE))
        if stride > most:
            raise RequestFault(f"doc_stride ({stride}) is larger than max_seq_len ({most})")
        room = most - self._reader.length((question, ""))
        if room < 1:
            raise RequestFault(f"the question leaves no room for the context in {most} tokens: shorten it")
        return self._reader.read_in_pieces(
            (question, context), most=most, strategy="only_second", stride=min(stride, room - 1)
        )

    def _finished(
        self,
        contexts: Sequence[str],
        pieces: Sequence[Sequence[Part]],
        options: Options,
        outputs: Sequence[Any],
    ) -> Any:
        given = iter(outputs)
        results = []
        for context, parts in zip(contexts, pieces, strict=True):
            found = self._answers(context, parts, [next(given) for _ in parts], options)
            results.append(found[0] if len(found) == 1 else found)
        return results[0] if len(results) == 1 else results

    def _answers(
        self, context: str, parts: Sequence[Part], outputs: Sequence[Any], options: Options
    ) -> list[dict[str, Any]]:
        answers: dict[str, dict[str, Any]] = {}
        nothing = 1e6
        for part, logits in zip(parts, outputs, strict=True):
            starts, ends, possible = self._probabilities(part.encoding, logits)
            nothing = min(nothing, float(starts[0] * ends[0]))
            starts[0] = ends[0] = 0.0
            for score, first, last in _spans(starts, ends, possible, options):
                start, end = _characters(part.encoding, first, last, options)
                text = context[start:end]
                if (same := answers.get(text.lower())) is not None:
                    same["score"] += score
                else:
                    answers[text.lower()] = {"score": score, "start": start, "end": end, "answer": text}
        found = list(answers.values())
        if options.impossible:
            found.append({"score": nothing, "start": 0, "end": 0, "answer": ""})
        return sorted(found, key=lambda answer: -answer["score"])[: options.top_k]

    def _probabilities(self, encoding: Any, logits: Any) -> tuple[Any, Any, Any]:
        """Of each token to be the first and the last of the answer, and whether it can be in one at all.

        The first token stands for "no answer".
        """
        first = self._reader.tokenizer.cls_token_id
        of_context = np.asarray(
            [
                sequence == 1 or number == first
                for sequence, number in zip(encoding.sequence_ids, encoding.ids, strict=True)
            ]
        )
        kept = np.where(of_context[:, None], logits, np.float32(OUTSIDE))
        return softmax(kept[:, 0]), softmax(kept[:, 1]), of_context


def _spans(starts: Any, ends: Any, possible: Any, options: Options) -> Iterator[tuple[float, int, int]]:
    """The likeliest spans, best first: score, first and last token. Alignment to words may make one of several."""
    most = options.top_k * 2 + 10 if options.words else options.top_k
    scores = np.tril(np.triu(np.outer(starts, ends)), options.longest - 1).ravel()
    if len(scores) > most:
        best = np.argpartition(-scores, most)[:most]
        best = best[np.argsort(-scores[best])]
    else:
        best = np.argsort(-scores)
    for place in best:
        first, last = divmod(int(place), len(ends))
        if possible[first] and possible[last]:
            yield float(scores[place]), first, last


def _characters(encoding: Any, first: int, last: int, options: Options) -> tuple[int, int]:
    """Where a span of tokens begins and ends in the context."""
    if options.words:
        words = encoding.token_to_word(first), encoding.token_to_word(last)
        if None not in words:
            begin = encoding.word_to_chars(words[0], 1)
            end = encoding.word_to_chars(words[1], 1)
            if begin is not None and end is not None:
                return begin[0], end[1]
    return encoding.offsets[first][0], encoding.offsets[last][1]


def _check(given: Mapping[str, Any]) -> None:
    if unknown := sorted(set(given) - KNOWN):
        raise RequestFault(
            f"parameters.{unknown[0]}: question answering takes {', '.join(sorted(KNOWN - WITHOUT_EFFECT))}"
        )
    for name, least in NUMBERS.items():
        if name in given and (type(given[name]) is not int or given[name] < least):
            raise RequestFault(
                f"parameters.{name}: a number of at least {least} expected, not {shown(given[name])}"
            )


def _questions(inputs: Any) -> Iterator[tuple[str, str]]:
    items = inputs if isinstance(inputs, list) else [inputs]
    for number, item in enumerate(items):
        name = f"inputs[{number}]" if isinstance(inputs, list) else "inputs"
        if not isinstance(item, dict) or not {"question", "context"} <= set(item):
            raise RequestFault(f"{name}: {EXPECTED} expected, not {shown(item)}")
        yield from _of_item(item, name)


def _of_item(item: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """Several questions about one context, or about as many, are a question each."""
    questions, contexts = item["question"], item["context"]
    if not isinstance(questions, list):
        questions, contexts = [questions], [contexts]
    elif not isinstance(contexts, list):
        contexts = [contexts] * len(questions)
    if len(questions) != len(contexts):
        raise RequestFault(f"{name}: {len(questions)} questions and {len(contexts)} contexts")
    for both in zip(questions, contexts, strict=True):
        for key, text in zip(("question", "context"), both, strict=True):
            if not isinstance(text, str) or not text:
                raise RequestFault(f"{name}.{key}: a text that is not empty expected, not {shown(text)}")
        yield both
