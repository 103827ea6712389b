"""The sender by itself: numbers, time-outs, pace, and what is kept."""

from __future__ import annotations

import pytest

from segue.wire.frames import AnswerInput, AudioInput, ImageInput, Response, TextInput
from segue.wire.sender import FRAME_BYTES, Sender, SenderFull, SenderSettings

AUDIO = AudioInput.from_pcm(b"\0\0")


def numbers(frames):
    return [frame.seq for frame in frames]


def image(base64):
    return ImageInput(image=base64, media_type="image/png", part=1, parts=1)


def test_numbers_start_at_one_and_are_shared_by_text_and_audio():
    sender = Sender()
    sender.add(TextInput(text="a"))
    sender.add(AUDIO)
    assert numbers(sender.due(0.0)) == [1, 2]
    assert sender.due(0.0) == []
    assert sender.unacknowledged == 2


def test_text_is_sent_again_after_its_timeout_and_then_less_and_less_often():
    sender = Sender(SenderSettings(text_timeout=2.0, backoff=2.0, longest_timeout=5.0))
    sender.add(TextInput(text="a"))
    sent = []
    now = 0.0
    for _ in range(5):
        now += sender.wakeup(now)
        assert numbers(sender.due(now)) == [1]
        sent.append(now)
    assert sent == [0.0, 2.0, 6.0, 11.0, 16.0]


def test_audio_has_more_time_than_text():
    sender = Sender(SenderSettings(text_timeout=2.0, audio_timeout=6.0))
    sender.add(AUDIO)
    sender.add(TextInput(text="a"))
    sender.due(0.0)
    assert numbers(sender.due(2.0)) == [2]
    assert numbers(sender.due(6.0)) == [1, 2]


def test_an_answer_has_a_number_as_text_has_is_sent_again_as_soon_and_counts_as_lasting():
    sender = Sender(SenderSettings(text_timeout=2.0, lasting_bytes=2 * FRAME_BYTES + 60))
    answer = AnswerInput(approval=3, responses=(Response(id="i", response="y"),))
    sender.add(TextInput(text="a"))
    sender.add(answer)
    assert numbers(sender.due(0.0)) == [1, 2]
    assert numbers(sender.due(2.0)) == [1, 2]
    with pytest.raises(SenderFull):
        sender.add(answer)


def test_acknowledged_frames_are_forgotten():
    sender = Sender()
    for letter in "abcde":
        sender.add(TextInput(text=letter))
    sender.due(0.0)
    sender.ack(2, (4,), now=0.0)
    assert sender.unacknowledged == 2
    sender.ack(1, (4, 99), now=0.0)
    sender.resend_all()
    assert numbers(sender.due(0.0)) == [3, 5]
    sender.ack(5, now=0.0)
    assert sender.wakeup(0.0) is None


def test_resends_are_paced_and_new_frames_queue_behind_them():
    sender = Sender(SenderSettings(rate=10.0, burst=5))
    now = 100.0
    for _ in range(12):
        sender.add(AUDIO)
    sent = []
    while sender.wakeup(now) < 3:
        now += sender.wakeup(now)
        sent += [(round(now - 100, 3), seq) for seq in numbers(sender.due(now))]
        if len(sent) == 8:
            sender.add(AUDIO)
    assert [seq for _, seq in sent] == list(range(1, 14))
    assert [at for at, _ in sent[:5]] == [0.0] * 5
    assert sent[-1][0] == pytest.approx(0.8, abs=0.01)


def test_a_busy_server_is_left_alone():
    sender = Sender()
    sender.add(AUDIO)
    sender.hold(3.0)
    sender.hold(1.0)
    assert sender.due(2.9) == []
    assert sender.wakeup(2.0) == pytest.approx(1.0)
    assert numbers(sender.due(3.0)) == [1]


def test_text_and_images_that_are_too_much_are_refused_and_nothing_is_lost():
    sender = Sender(SenderSettings(lasting_bytes=2 * (FRAME_BYTES + 4)))
    sender.add(TextInput(text="abcd"))
    sender.due(0.0)
    sender.add(image("QUJD"))
    for more in (TextInput(text="e"), image("QUJD")):
        with pytest.raises(SenderFull):
            sender.add(more)
    sender.add(AUDIO)
    assert numbers(sender.due(0.0)) == [2, 3]
    sender.ack(1, now=0.0)
    assert sender.add(TextInput(text="efgh")) == 0
    assert numbers(sender.due(0.0)) == [4]


def test_an_image_that_does_not_fit_is_not_taken_in_part():
    sender = Sender(SenderSettings(lasting_bytes=2 * (FRAME_BYTES + 4)))
    with pytest.raises(SenderFull):
        sender.add(*[image("QUJD")] * 3)
    assert sender.unacknowledged == 0


def speech(letter):
    return AudioInput.from_pcm(letter.encode() * 3000)


ROOM_FOR_THREE = SenderSettings(audio_bytes=3 * (FRAME_BYTES + 4000))


def test_unsent_audio_that_is_too_much_goes_oldest_first_and_never_had_a_number():
    sender = Sender(ROOM_FOR_THREE)
    assert [sender.add(speech(letter)) for letter in "abcde"] == [0, 0, 0, 1, 1]
    assert sender.given_up == 2
    assert [(frame.seq, frame.pcm[:1]) for frame in sender.due(0.0)] == [(1, b"c"), (2, b"d"), (3, b"e")]


def test_sent_audio_that_is_too_much_keeps_its_number_and_nothing_else():
    sender = Sender(ROOM_FOR_THREE)
    for letter in "abc":
        sender.add(speech(letter))
    sender.due(0.0)
    sender.add(TextInput(text="!"))
    assert sender.add(speech("d")) == 2, "what is left of a frame costs something too"
    sender.resend_all()
    assert [(frame.seq, getattr(frame, "pcm", b"!")[:1]) for frame in sender.due(0.0)] == [
        (1, b""),
        (2, b""),
        (3, b"c"),
        (4, b"!"),
        (5, b"d"),
    ]


def test_audio_is_bounded_even_if_nothing_is_ever_acknowledged():
    sender = Sender(ROOM_FOR_THREE)
    for _ in range(200):
        sender.add(speech("x"))
        sender.due(0.0)
    assert sender._audio_bytes <= ROOM_FOR_THREE.audio_bytes
    assert sender.unacknowledged < 100
    sender.ack(10**6, now=0.0)
    assert sender._audio_bytes == sum(FRAME_BYTES + 4000 for _ in sender._unsent)


def test_each_kind_has_its_own_time():
    settings = SenderSettings(text_timeout=1.0, image_timeout=2.0, audio_timeout=3.0, backoff=1.0)
    sender = Sender(settings)
    sender.add(AUDIO, image("QUJD"), TextInput(text="a"))
    sender.due(0.0)
    assert [numbers(sender.due(now)) for now in (0.9, 1.0, 2.0, 3.0)] == [[], [3], [2, 3], [1, 3]]


def test_an_acknowledgement_restarts_the_timeout_of_missing_frames():
    sender = Sender(SenderSettings(audio_timeout=6.0))
    for _ in range(3):
        sender.add(AUDIO)
    assert numbers(sender.due(0.0)) == [1, 2, 3]
    sender.ack(1, now=5.0)
    assert sender.due(10.9) == []
    sender.ack(1, now=10.9)  # said again: nothing new arrived
    assert numbers(sender.due(11.0)) == [2, 3]


def test_an_acknowledgement_does_not_delay_what_a_new_holder_has_not_had():
    sender = Sender(SenderSettings(burst=1, rate=1.0))
    for _ in range(2):
        sender.add(AUDIO)
    assert numbers([*sender.due(0.0), *sender.due(1.0)]) == [1, 2]
    sender.resend_all()
    sender.ack(1, now=2.0)
    assert numbers(sender.due(2.0)) == [2]


def window_of(count, window, **changes):
    sender = Sender(SenderSettings(**changes))
    sender.window = window
    for _ in range(count):
        sender.add(AUDIO)
    return sender


def test_no_more_than_the_window_is_on_its_way():
    sender = window_of(6, 3)
    assert numbers(sender.due(0.0)) == [1, 2, 3]
    assert sender.wakeup(0.0) == 6.0, "nothing before something arrives, or is taken for lost"
    sender.arrived(2, now=0.5)
    assert numbers(sender.due(0.5)) == [4, 5]
    sender.ack(5, now=0.6)
    assert numbers(sender.due(0.6)) == [6]


def test_missing_frames_are_sent_again_at_once_unless_just_sent():
    sender = window_of(5, 8)
    assert numbers(sender.due(0.0)) == [1, 2, 3, 4, 5]
    sender.arrived(1, [3], now=0.9)
    assert sender.due(0.9) == []
    sender.arrived(1, [3, 5], now=1.0)
    assert numbers(sender.due(1.0)) == [2, 4]
    sender.arrived(1, [3, 5], now=1.5)
    assert sender.due(1.5) == []


def test_arrived_frames_are_not_sent_to_the_same_holder_again():
    sender = window_of(3, 8, audio_timeout=6.0, longest_timeout=30.0)
    assert numbers(sender.due(0.0)) == [1, 2, 3]
    sender.arrived(2, now=1.0)
    assert numbers(sender.due(6.0)) == [1, 3], "the lowest probes for a holder"
    sender.resend_lost()
    assert numbers(sender.due(7.0)) == [3]
    sender.resend_all()
    assert numbers(sender.due(8.0)) == [1, 2, 3]


def test_an_acknowledgement_that_was_lost_is_asked_for_in_the_end():
    sender = window_of(1, 8, audio_timeout=6.0, longest_timeout=30.0)
    sender.due(0.0)
    sender.arrived(1, now=1.0)
    assert sender.wakeup(1.0) == 5.0
    assert numbers(sender.due(6.0)) == [1]


def test_a_long_sleep_does_not_make_a_text_wait_for_a_new_holder():
    sender = window_of(1, 8)
    sender.due(0.0)
    sender.arrived(1, now=300.0)
    sender.add(TextInput(text="a"))
    sender.due(300.0)
    sender.resend_all()
    assert 2 in [frame.seq for tenth in range(3000, 3610) for frame in sender.due(tenth / 10)]


def test_text_that_arrived_is_sent_again_after_its_timeout_as_before():
    sender = Sender(SenderSettings(text_timeout=2.0))
    sender.window = 8
    sender.add(TextInput(text="a"))
    sender.due(0.0)
    sender.arrived(1, now=0.1)
    assert numbers(sender.due(2.0)) == [1], "it is durable at once, if nothing is wrong"


def test_a_frame_that_reached_the_new_holder_by_itself_is_not_sent_again():
    """The frame was in flight when the holder changed."""
    sender = window_of(2, 2)
    sender.due(0.0)
    sender.resend_all()
    sender.arrived(1, now=0.1)
    assert numbers(sender.due(0.1)) == [2]


def test_frames_in_flight_on_a_slow_path_are_not_sent_at_once_to_a_new_holder():
    sender = window_of(4, 8)
    assert numbers(sender.due(0.0)) == [1, 2, 3, 4]
    sender.arrived(2, now=3.0)
    sender.resend_all()
    assert numbers(sender.due(3.0)) == [1, 2], "those had arrived where they are lost now"
    assert numbers(sender.due(4.0)) == [3, 4]


def test_waits_for_a_missing_frame_double_on_a_slow_path():
    sender = window_of(3, 8, audio_timeout=60.0, longest_timeout=60.0)
    sender.due(0.0)
    sender.arrived(1, now=3.0)
    again = []
    for tenth in range(30, 400):
        sender.arrived(1, [3], now=tenth / 10)
        again += [tenth / 10 for frame in sender.due(tenth / 10) if frame.seq == 2]
    assert again == [4.0, 12.0, 28.0]


def test_nothing_is_repeated_before_a_slow_path_has_had_its_time():
    sender = window_of(2, 8, audio_timeout=8.0)
    sender.due(0.0)
    sender.arrived(1, now=6.0)
    sender.add(AUDIO)
    sender.due(6.0)
    assert numbers(sender.due(15.9)) == [1, 2]
    assert numbers(sender.due(16.0)) == [3]


def test_a_new_holder_is_sent_no_more_than_its_window_either():
    sender = window_of(5, None)
    assert numbers(sender.due(0.0)) == [1, 2, 3, 4, 5]
    sender.resend_all()
    sender.window = 2
    assert numbers(sender.due(1.0)) == [1, 2]
    assert sender.wakeup(1.0) == 6.0
    sender.arrived(1, now=1.1)
    assert numbers(sender.due(1.1)) == [3]


def test_the_lowest_missing_frame_is_sent_without_room_in_the_window():
    sender = window_of(3, 2)
    sender.due(0.0)
    sender.arrived(2, now=0.1)
    sender.due(0.1)
    sender.resend_all()
    sender.window = 0
    assert sender.due(1.0) == []
    sender.arrived(0, [3], now=1.0)
    assert numbers(sender.due(1.0)) == [1]
