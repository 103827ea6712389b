"""Limits on what a client may send: images, pieces of audio, frames a second."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.wire.audio import AudioLimits
from segue.wire.frames import AudioInput, FrameError, ImageInput, decode_client_frame, encode_frame
from segue.wire.images import MAX_IMAGE_BYTES, Image, ImageAssembler, ImageRefused
from segue.wire.rate import FrameRate, TokenBucket

# --- images


def parts_of(image, first_seq=1, media_type="image/png"):
    frames = ImageInput.split(image, media_type)
    return [
        decode_client_frame(encode_frame(frame).replace('"part":', f'"seq":{seq},"part":'))
        for seq, frame in enumerate(frames, start=first_seq)
    ]


@pytest.mark.parametrize("size", [1, 2, 22_499, 22_500, 22_501, 45_000, 100_000])
def test_an_image_survives_its_parts(size):
    image = (bytes(range(251)) * 400)[:size]
    assembler = ImageAssembler()
    *some, last = parts_of(image, first_seq=7)
    assert all(assembler.take(part) is None for part in some)
    assert assembler.take(last) == Image(image, "image/png", tuple(range(7, 8 + len(some))))
    assert not assembler._parts, "the assembler keeps no parts"


def test_the_largest_image_is_taken_and_a_larger_one_refused():
    parts = parts_of(b"x" * MAX_IMAGE_BYTES)
    assembler = ImageAssembler()
    assert [assembler.take(part) for part in parts][-1].data == b"x" * MAX_IMAGE_BYTES
    for wrong in (b"", b"x" * (MAX_IMAGE_BYTES + 1)):
        with pytest.raises(ValueError, match="an image has"):
            ImageInput.split(wrong, "image/png")


def refused(assembler, part):
    with pytest.raises(ImageRefused) as caught:
        assembler.take(part)
    assert caught.value.code == "bad_image"
    return caught.value.seqs


def test_parts_out_of_order_are_refused_with_all_before_them():
    one, two, three = parts_of(b"x" * 60_000)
    assembler = ImageAssembler()
    assert refused(assembler, two) == (2,)
    assembler.take(one)
    assert refused(assembler, three) == (1, 3)
    assembler.take(one)
    assert refused(assembler, one) == (1, 1)
    for part in (one, two):
        assembler.take(part)
    assert assembler.take(three).seqs == (1, 2, 3)


@pytest.mark.parametrize(
    "other", [parts_of(b"x" * 60_000, media_type="image/gif")[1], parts_of(b"x" * 40_000)[1]], ids=["type", "parts"]
)
def test_parts_that_are_not_alike_are_refused(other):
    assembler = ImageAssembler()
    assembler.take(parts_of(b"x" * 60_000)[0])
    assert refused(assembler, other) == (1, 2)


def test_an_image_that_is_too_large_for_here_is_refused():
    one, two, three = parts_of(b"x" * 60_000)
    assembler = ImageAssembler(limit=40_000)
    assembler.take(one)
    assert refused(assembler, two) == (1, 2)
    assert refused(assembler, three) == (3,)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.sampled_from([*parts_of(b"x" * 60_000), *parts_of(b"y" * 30_000, 4), *parts_of(b"z", 6)])))
def test_image_assembler_bounds_its_memory_and_accounts_for_every_number(frames):
    assembler = ImageAssembler(limit=70_000)
    done = []
    for frame in frames:
        try:
            image = assembler.take(frame)
        except ImageRefused as error:
            done += error.seqs
        else:
            done += image.seqs if image else ()
            assert image is None or image.data in {b"x" * 60_000, b"y" * 30_000, b"z"}
        assert assembler._size <= 70_000
    done += [part.seq for part in assembler._parts]
    assert done == [frame.seq for frame in frames]


@pytest.mark.parametrize(
    "fields",
    [
        '"image":"","media_type":"image/png","part":1,"parts":1',
        '"image":"AAA","media_type":"image/png","part":1,"parts":1',
        '"image":"AAAA","media_type":"image/tiff","part":1,"parts":1',
        '"image":"AAAA","media_type":"image/png","part":0,"parts":1',
        '"image":"AAAA","media_type":"image/png","part":2,"parts":1',
        '"image":"AAAA","media_type":"image/png","part":1,"parts":193',
        '"image":"AAAA","media_type":"image/png","part":1',
    ],
)
def test_malformed_fields_of_an_image_part_are_refused(fields):
    with pytest.raises(FrameError) as caught:
        decode_client_frame(f'{{"type":"image",{fields}}}')
    assert caught.value.code == "bad_frame"


# --- audio


def lengths(rate, *milliseconds):
    limits = AudioLimits(rate)
    verdicts = []
    for length in milliseconds:
        try:
            limits.check(rate * length * 2 // 1000)
            verdicts.append("ok")
        except FrameError as error:
            verdicts.append(error.code)
    return verdicts


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_pieces_of_20_to_250_ms_are_taken(rate):
    assert lengths(rate, 20, 250, 100, 20, 40) == ["ok"] * 5
    assert lengths(rate, 251, 1000, 100) == ["bad_audio", "bad_audio", "ok"]


def test_only_the_last_piece_of_an_utterance_may_be_short():
    assert lengths(16000, 100, 5, 100, 5, 5, 5, 100, 19) == [
        "ok",
        "ok",
        "ok",
        "ok",
        "bad_audio",
        "bad_audio",
        "ok",
        "ok",
    ]


def test_an_empty_given_up_audio_piece_is_not_a_short_piece():
    assert lengths(16000, 5, 0, 0, 100, 5, 0, 5) == ["ok", "ok", "ok", "ok", "ok", "ok", "bad_audio"]
    frame = AudioInput(audio="", seq=3)
    assert decode_client_frame(encode_frame(frame)) == frame
    assert frame.pcm == b""


# --- frames a second


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_burst_passes_and_then_the_rate():
    clock = Clock()
    rate = FrameRate(clock, rate=10.0, burst=3)
    for _ in range(3):
        rate.admit("a")
    for _ in range(2):
        with pytest.raises(FrameError) as caught:
            rate.admit("a")
        assert caught.value.code == "too_fast"
    rate.admit("b")
    clock.now += 0.1
    rate.admit("a")
    with pytest.raises(FrameError):
        rate.admit("a")


def test_senders_with_a_remembered_rate_are_bounded():
    rate = FrameRate(Clock(), rate=1.0, burst=1, senders=2)
    for sender in "abc":
        rate.admit(sender)
    for remembered in "bc":
        with pytest.raises(FrameError):
            rate.admit(remembered)
    rate.admit("a")  # its rate is forgotten


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.floats(-1, 2)))
def test_never_more_than_the_rate_allows_whatever_the_clock_does(pauses):
    bucket = TokenBucket(rate=5.0, burst=4)
    now = latest = first = 50.0
    taken = int(bucket.take(now))
    for pause in pauses:
        now += pause
        latest = max(latest, now)
        taken += bucket.take(now)
        assert taken <= 4 + (latest - first) * 5 + 1e-3
        wait = bucket.wait(latest)
        assert 0.0 <= wait <= 0.2 + 1e-9
        assert wait > 0 or bucket._tokens >= 0.999
