"""Several agents in one session, one after the other and side by side, by voice and by text."""

from __future__ import annotations

import pytest
from strands.bidi import BidiAgent

from segue import GuardedS3SessionManager
from tests.support.scripted_model import ScriptedModel, answered, until
from tests.support.sessions import Sessions, built


@pytest.mark.slow
async def test_several_agents_share_a_session_and_keep_their_own_history(s3_sessions: Sessions) -> None:
    first = s3_sessions()
    await first.open()
    writer, critic = built(first, agent_id="writer"), built(first, agent_id="critic")
    await writer.invoke_async("Write")
    await critic.invoke_async("Criticise")
    await writer.invoke_async("Write better")
    await first.close()

    second = s3_sessions()
    await second.open()
    writer_again, critic_again = built(second, agent_id="writer"), built(second, agent_id="critic")

    assert writer_again.messages == writer.messages
    assert critic_again.messages == critic.messages
    assert len(writer.messages) == 4
    assert len(critic.messages) == 2


async def test_an_agent_id_is_used_once_in_a_session(memory_sessions: Sessions) -> None:
    manager = memory_sessions()
    await manager.open()
    built(manager)

    with pytest.raises(ValueError, match="twice"):
        built(manager)


async def test_a_later_agent_joins_a_session(memory_sessions: Sessions) -> None:
    first = memory_sessions()
    await first.open()
    writer = built(first, agent_id="writer")
    await writer.invoke_async("Write")
    await first.close()
    second = memory_sessions()
    await second.open()
    critic = built(second, agent_id="critic")
    assert critic.messages == []
    await critic.invoke_async("Criticise")
    await second.close()

    third = memory_sessions()
    await third.open()
    assert built(third, agent_id="writer").messages == writer.messages
    assert built(third, agent_id="critic").messages == critic.messages


async def test_a_conversation_goes_on_by_text_where_it_was_by_voice(memory_sessions: Sessions) -> None:
    voice = memory_sessions()
    await voice.open()
    speaker = BidiAgent(model=ScriptedModel(), session_manager=voice, state={"mood": "good"})
    await speaker.start()
    await speaker.send("My name is Alice")
    speaker.model.emit(answered("Hello Alice"))
    await until(speaker, "bidi_response_stop")
    await speaker.stop()

    text = memory_sessions()
    await text.open()
    writer = built(text)
    assert writer.messages == speaker.messages
    assert writer.state.get("mood") == "good"
    await writer.invoke_async("What's my name?")
    await text.close()

    voice_again = memory_sessions()
    await voice_again.open()
    assert BidiAgent(model=ScriptedModel(), session_manager=voice_again).messages == writer.messages


@pytest.mark.slow
def test_the_managers_of_a_process_share_their_clients(s3_sessions: Sessions) -> None:
    first, second = s3_sessions("one"), s3_sessions("two")
    first.open_sync()
    second.open_sync()

    assert isinstance(first, GuardedS3SessionManager)
    assert first._session._stores.objects._client is second._session._stores.objects._client
