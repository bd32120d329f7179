"""Messages survive the way, in whatever pieces they come."""

from __future__ import annotations

import socket
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from clary.serving.frames import Decoder, Frame, encode, receive

MESSAGES = [
    encode({"do": "answer", "job": 1, "text": 'ü "\n'}, [b"", b"\0\xff" * 5, b"x"]),
    encode({"do": "end"}),
    encode({"do": "piece"}, [b"y" * 5000]),
]


@given(st.lists(st.integers(1, sum(map(len, MESSAGES))), max_size=20))
def test_the_decoder_finds_messages_wherever_the_cuts_are(cuts: list[int]) -> None:
    data = b"".join(MESSAGES)
    decoder = Decoder()
    found: list[Frame] = []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        found += decoder.feed(data[start:end])
    assert [frame.head["do"] for frame in found] == ["answer", "end", "piece"]
    assert found[0].head["text"] == 'ü "\n'
    assert [list(frame.bodies) for frame in found] == [[b"", b"\0\xff" * 5, b"x"], [], [b"y" * 5000]]


def test_receive_reads_one_message_and_tells_of_the_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(MESSAGES[0] + MESSAGES[1])
        first, second = receive(ours), receive(ours)
        assert first is not None
        assert second is not None
        assert list(first.bodies) == [b"", b"\0\xff" * 5, b"x"]
        assert second.head["do"] == "end"
        theirs.sendall(MESSAGES[2][:100])
        theirs.close()
        assert receive(ours) is None
