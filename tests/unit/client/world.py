"""One session with its clients, a network with random faults, and holders that come, go and do not notice.

    Page (Conversation) ═ links ═ Gateway ── Holder (Receiver, OutputNumbering, outbox a client) ── journal

A holder's memory dies with it; the journal does not. A holder that was passed over may go on speaking. What is checked
is what the clients have shown and what the journal has.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from segue.client.conversation import Conversation
from segue.client.settings import ClientSettings
from segue.lease.item import Known
from segue.wire.frames import (
    AudioInput,
    AudioOutput,
    Hello,
    ImageInput,
    Moved,
    Ping,
    Pong,
    Ready,
    TextInput,
    TextOutput,
    Transcript,
    decode_client_frame,
    encode_frame,
    error_frame,
)
from segue.wire.sender import FRAME_BYTES, SenderSettings
from tests.unit.client.holder import Holder, Listener

JUNK = '{"message": "Internal server error", "connectionId":"x", "requestId":"y"}'
ROOM = 12
SETTINGS = ClientSettings(
    sender=SenderSettings(rate=1000.0, burst=9, audio_bytes=ROOM * (FRAME_BYTES + 16)), silence_timeout=3.0
)


@dataclass
class Link:
    """One WebSocket: the messages in flight in both directions."""

    to_server: list = field(default_factory=list)
    to_client: list = field(default_factory=list)
    bound: bool = False


class Page:
    """A client, as long as its page is not reloaded."""

    def __init__(self, client_id):
        self.client_id = client_id
        self.talk = Conversation("s", client_id, "voice", SETTINGS)
        self.links = {}
        self.said = []
        self.shown = []
        self.first_record = None

    def say(self, kind, content):
        self.said.append((kind, content))
        match kind:
            case "text":
                self.talk.say(TextInput(text=content))
            case "audio":
                self.talk.say(AudioInput.from_pcm(content.encode().ljust(12)))
            case "image":
                raw = content.encode().ljust(3, b".")
                parts = ImageInput.split(raw * 7501, "image/png")
                self.talk.say(*parts)

    def connect(self, now):
        self.links[self.talk.connected(now)] = Link()

    def cut(self, number):
        self.links.pop(number)
        self.talk.disconnected(number)

    def send(self, now):
        for number, link in self.links.items():
            link.to_server += map(encode_frame, self.talk.outgoing(now, number))

    def hear(self, message, now, number):
        self.show(self.talk.received(message, now, number))

    def show(self, events):
        for event in events:
            if isinstance(event, Ready) and self.first_record is None:
                self.first_record = event.head
        self.shown += events

    def tidy(self, now):
        """Close connections that are of no use any more; open the next when the newest is gone, or asks for it."""
        for number in [number for number in self.links if (link := self.talk.link(number)) is None or link.lost]:
            self.cut(number)
        if self.talk.counter not in self.links or self.talk.wants_renewal(now, self.talk.counter):
            self.connect(now)

    @property
    def records(self):
        return [event.record for event in self.shown if getattr(event, "record", None) is not None]


class World:
    """Everything but the dice."""

    def __init__(self):
        self.now = 0.0
        self.journal = []
        self.silence = {}
        self.sounds = 0
        self.contents = 0
        self.addresses = {}
        self.pages = []
        self.gone = []
        self.holder = Holder(self, 1)
        self.passed = []
        self.open_page()

    # what is known

    def known(self, client_id):
        seqs = [seq for record in self.journal if record.client_id == client_id for seq in record.seqs]
        return Known().adding((*seqs, *self.silence.get(client_id, ())))

    def frame(self, number):
        record = self.journal[number]
        text = "|".join(record.contents)
        if record.user:
            return Transcript(role="user", text=text, final=True, record=number)
        return TextOutput(text=text, record=number)

    def link(self, client_id, number):
        pages = [page for page in self.pages if page.client_id == client_id]
        return pages[0].links.get(number) if pages else None

    # what happens

    def open_page(self):
        page = Page(f"c{len(self.pages) + len(self.gone)}")
        self.pages.append(page)
        page.connect(self.now)

    def close_page(self, page):
        self.pages.remove(page)
        self.gone.append(page)

    def say(self, page, kind):
        self.contents += 1
        page.say(kind, str(self.contents))

    def reach_server(self, page, number, at=0):
        link = page.links[number]
        self.arrive(page, number, decode_client_frame(link.to_server.pop(at)))

    def arrive(self, page, number, frame):
        link = page.links[number]
        code = None
        if isinstance(frame, Ping):
            link.to_client.append(encode_frame(Pong()))
            return
        if isinstance(frame, Hello):
            if number < self.addresses.get(page.client_id, 0):
                code = "superseded"
            else:
                self.addresses[page.client_id] = number
                link.bound = True
        elif not link.bound:
            code = "hello_first"
        code = code or self.holder.take(page.client_id, number, frame)
        if code:
            link.to_client.append(encode_frame(error_frame(code)))

    def pass_on(self, *, raise_epoch_by, greet):
        """Another holder has the session. Those whom a claim names are greeted unasked."""
        self.passed = [*self.passed[-2:], self.holder]
        self.holder = Holder(self, self.holder.epoch + raise_epoch_by)
        for client_id, number in list(self.addresses.items())[:greet]:
            self.welcome(client_id, number)

    def welcome(self, client_id, number):
        listener = self.holder.listeners.get(client_id)
        if listener is None or number > listener.number:
            self.holder.listeners[client_id] = Listener(number)
        self.holder.greet(client_id)

    def hand_over(self, *, flushed, greet):
        """A planned one: moved is said, what is taken but not durable is left to the successor."""
        for client_id in list(self.holder.listeners):
            self.holder.listeners[client_id].outbox.append(Moved())
            if flushed and self.holder.listeners[client_id].greeted:
                self.holder.post(client_id, 99)
        self.pass_on(raise_epoch_by=2, greet=greet)

    def flow(self):
        """Everything arrives, in order."""
        for page in self.pages:
            page.show(page.talk.tick(self.now))
            page.tidy(self.now)
            page.send(self.now)
            for number in list(page.links):
                while page.links[number].to_server:
                    self.reach_server(page, number)
        for client_id in list(self.holder.listeners):
            while client_id in self.holder.listeners and self.holder.listeners[client_id].outbox:
                self.holder.post(client_id, 99)
        for page in self.pages:
            for number, link in list(page.links.items()):
                while link.to_client:
                    page.hear(link.to_client.pop(0), self.now, number)

    def settle(self):
        """Run without faults from here on: the holder stays, knows all clients, and always speaks."""
        for client_id in self.addresses.keys() - self.holder.listeners.keys():
            self.welcome(client_id, self.addresses[client_id])
        for _ in range(600):
            if all(self.is_settled(page) for page in self.pages):
                return
            self.now += 0.3
            self.flow()
            for client_id in self.holder.receivers:
                self.holder.confirm(client_id)
            while self.holder.taken:
                self.holder.commit(text_first=False, tell=True)
            self.holder.speak()
            self.flow()
        raise AssertionError("the network is kind and still something is missing")

    def is_settled(self, page):
        caught_up = page.first_record is not None and page.talk.last_record == len(self.journal) - 1
        return caught_up and page.talk.greeted and not page.talk.unacknowledged

    # what must be true

    def check_shown(self):
        for page in (*self.pages, *self.gone):
            places = [(event.epoch, event.seq) for event in page.shown if event.epoch is not None]
            assert places == sorted(set(places)), "in order, once, and nothing old after something new"
            sounds = [event.audio for event in page.shown if isinstance(event, AudioOutput)]
            assert len(sounds) == len(set(sounds)), "speech at most once"
            if page.first_record is not None:
                whole = list(range(page.first_record, page.first_record + len(page.records)))
                assert page.records == whole, "journal content once and in order"
            assert page.talk.failure is None

    def check_journal(self):
        for page in (*self.pages, *self.gone):
            effects = self.effects(page)
            assert len(effects) == len(set(effects)), "input at most once"
            for kind in ("text", "audio", "image"):
                said = [content for one, content in page.said if one == kind]
                durable = [content for content in effects if content in set(said)]
                assert durable == [content for content in said if content in set(durable)], f"{kind} in order"

    def check_all(self):
        self.check_shown()
        self.check_journal()
        for page in self.pages:
            assert page.records == list(range(page.first_record, len(self.journal)))
            texts = [self.frame(record).text for record in page.records]
            assert [event.text for event in page.shown if getattr(event, "record", None) is not None] == texts
            effects = {*self.effects(page), *self.silence.get(page.client_id, {}).values()}
            missing = [kind for kind, content in page.said if content not in effects]
            assert set(missing) <= {"audio"}, "text and images are never lost"
            assert len(missing) <= page.talk.given_up, "audio is lost only if its sender said so"

    def effects(self, page):
        records = [record for record in self.journal if record.user and record.client_id == page.client_id]
        return [content for record in records for content in record.contents if content]
