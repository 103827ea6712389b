"""The judge of the wire: what it lets pass, and what it does not."""

from __future__ import annotations

from typing import Any

from tests.chaos.wire import PARTING_SECONDS, Wire


def frames(epoch: int, *numbers: int, kind: str = "audio") -> list[dict[str, Any]]:
    return [{"type": kind, "epoch": epoch, "seq": number} for number in numbers]


def wire_of(*messages: tuple[int, float, list[dict[str, Any]]]) -> Wire:
    """Everything that came over some connections of one client, as (connection, seconds, frames)."""
    wire = Wire()
    for connection, at, said in messages:
        wire.said(connection, [{"type": "hello", "client_id": "c"}], at)
        wire.heard(connection, said, at)
    return wire


def test_frames_in_their_order_are_right() -> None:
    wire = wire_of((1, 0.0, frames(7, 1)), (1, 0.1, frames(7, 2, 3)), (1, 0.2, frames(8, 1)), (1, 0.3, frames(8, 2)))
    assert wire.problems(fault_free=True) == []
    assert wire.late() == []


def test_the_post_under_way_may_be_late_on_each_connection_and_may_be_repeated() -> None:
    late = frames(7, 2, 3)
    wire = wire_of((1, 0.0, frames(7, 1)), (2, 1.0, frames(8, 1)), (1, 9.0, late), (2, 9.1, late), (2, 9.2, late))
    assert wire.problems(fault_free=False) == []
    assert [seconds for _, seconds in wire.late()] == [8.0, 8.1, 8.2]


def test_a_holder_that_speaks_without_its_lease_is_found() -> None:
    wire = wire_of((1, 0.0, frames(7, 1)), (1, 1.0, frames(8, 1)), (1, 1.1, frames(7, 2)), (1, 1.2, frames(7, 3)))
    for fault_free in (True, False):
        assert wire.problems(fault_free=fault_free) == [
            "epoch 7 spoke 2 times on connection 1 when a later one had begun"
        ]


def test_an_old_epoch_on_a_connection_is_found_whichever_client_heard_the_later_one_first() -> None:
    wire = wire_of((2, 0.0, frames(8, 1)), (1, 0.1, frames(7, 1)), (1, 0.2, frames(7, 2)))
    assert wire.problems(fault_free=False) == ["epoch 7 spoke 2 times on connection 1 when a later one had begun"]


def test_a_holder_that_released_its_lease_may_finish_but_not_go_on() -> None:
    parted = [(1, 0.0, frames(7, 1)), (1, 1.0, frames(8, 1)), (1, 1.1, frames(7, 2, kind="moved"))]
    assert wire_of(*parted, (1, 1.2, frames(7, 3)), (1, 1.3, frames(7, 4))).problems(fault_free=True) == []
    later = 1.0 + PARTING_SECONDS + 0.1
    assert wire_of(*parted, (1, later, frames(7, 3)), (1, later, frames(7, 4))).problems(fault_free=True)


def test_an_identical_repeat_is_a_problem_only_in_a_fault_free_run() -> None:
    wire = wire_of((1, 0.0, frames(7, 1, 2)), (1, 0.1, frames(7, 1, 2)))
    assert wire.problems(fault_free=False) == []
    assert wire.problems(fault_free=True) == ["7.(1, 2) came twice on connection 1, once as (1, 2)"]


def direct(epoch: int, number: int) -> list[dict[str, Any]]:
    """A ``ready`` over a worker's own socket."""
    return [{"type": "ready", "epoch": epoch, "seq": number, "features": ["direct", "binary"]}]


def test_over_a_workers_own_socket_nothing_is_repeated_and_nothing_comes_after_the_next_holder() -> None:
    wire = wire_of((1, 0.0, direct(7, 1)), (1, 0.1, frames(7, 2)), (1, 0.2, frames(7, 2)))
    assert wire.problems(fault_free=False) == ["7.(2,) came twice on connection 1, once as (2,)"]
    moved = frames(7, 2, kind="moved")
    wire = wire_of((1, 0.0, direct(7, 1)), (2, 0.1, direct(8, 1)), (1, 0.2, moved))
    assert wire.problems(fault_free=True) == []
    wire = wire_of((1, 0.0, direct(7, 1)), (1, 0.1, direct(8, 1)), (1, 0.2, moved))
    assert wire.problems(fault_free=True) == ["epoch 7 spoke on connection 1 after 8"]


def test_a_number_that_is_used_again_for_something_else_is_found() -> None:
    for again in (frames(7, 2), frames(7, 2, 3), frames(7, 1, 2, 3)):
        assert wire_of((1, 0.0, frames(7, 1, 2)), (1, 0.1, again)).problems(fault_free=False)


def test_frames_in_flight_may_be_sent_again_over_a_newer_connection() -> None:
    assert wire_of((1, 0.0, frames(7, 1, 2)), (2, 0.1, frames(7, 1, 2))).problems(fault_free=True) == []


def test_a_number_that_never_came_is_found_where_nothing_can_be_lost() -> None:
    wire = wire_of((1, 0.0, frames(7, 1)), (1, 0.1, frames(7, 4, 5)))
    assert wire.problems(fault_free=True) == ["epoch 7 never said [2, 3] to c"]
    assert wire.problems(fault_free=False) == []


def test_frames_posted_to_an_abandoned_connection_may_be_missing() -> None:
    assert wire_of((1, 0.0, frames(7, 1)), (2, 0.1, frames(7, 4))).problems(fault_free=True) == []


def test_clients_have_numbers_of_their_own_and_frames_of_the_gateway_have_none() -> None:
    wire = Wire()
    for connection, client in enumerate(("a", "b"), 1):
        wire.said(connection, [{"type": "ping"}, {"type": "hello", "client_id": client}], 0.0)
        wire.heard(connection, [*frames(7, 1), {"type": "pong"}, {"message": "Forbidden"}], 0.0)
    wire.heard(2, frames(7, 3), 0.1)
    assert wire.problems(fault_free=True) == ["epoch 7 never said [2] to b"]


def test_frames_of_an_epoch_after_a_moment_are_counted_on_the_connection_with_most() -> None:
    wire = wire_of((1, 1.0, frames(7, 1)), (1, 5.0, frames(7, 2)), (2, 5.1, frames(7, 3)), (2, 5.2, frames(7, 4)))
    wire.heard(2, frames(8, 1), 6.0)
    assert wire.after(7, 4.0) == 2
    assert wire.after(7, 5.2) == 0


def test_sound_that_has_just_come_is_told_from_silence() -> None:
    wire = wire_of((1, 1.0, frames(7, 1)), (1, 1.1, frames(7, 2, kind="received")))
    assert wire.speaks(1.2)
    assert not wire.speaks(2.0)
    assert not wire_of((1, 1.0, frames(7, 1, kind="ack"))).speaks(1.0)
