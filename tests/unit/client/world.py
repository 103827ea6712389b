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
    FrameError,
    Hello,
    ImageInput,
    InputAck,
    Moved,
    Ping,
    Pong,
    Ready,
    Received,
    Resume,
    TextInput,
    TextOutput,
    Transcript,
    decode_client_frame,
    encode_batch,
    encode_frame,
    error_frame,
    fitting,
)
from segue.wire.images import ImageAssembler
from segue.wire.output import OutputNumbering
from segue.wire.sender import FRAME_BYTES, SenderSettings
from segue.wire.sequence import Receiver

JUNK = '{"message": "Internal server error", "connectionId":"x", "requestId":"y"}'
WINDOW = 24
INPUT_WINDOW = 8
QUEUE = 8
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


@dataclass
class Record:
    """One record of the journal: the input of a client, or an answer."""

    client_id: str
    seqs: tuple
    contents: tuple
    user: bool


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


@dataclass
class Listener:
    number: int
    outbox: list = field(default_factory=list)
    greeted: bool = False


class Holder:
    """The present or an earlier holder of the session."""

    def __init__(self, world, epoch):
        self.world = world
        self.epoch = epoch
        self.numbering = OutputNumbering(epoch)
        self.listeners = {}
        self.receivers = {}
        self.images = {}
        self.taken = []
        self.turned_away = set()
        self.confirms = epoch % 4 != 3  # now and then one of an older version

    def take(self, client_id, number, frame):
        """Return an error code if the frame is refused."""
        listener = self.listeners.get(client_id)
        if listener is None or number > listener.number:
            self.listeners[client_id] = Listener(number)  # what waited for the older connection is gone
            self.greet(client_id, frame.last_record if isinstance(frame, Hello) else None)
        elif isinstance(frame, Hello):
            if number < listener.number:
                return "superseded"
            self.greet(client_id, frame.last_record)
        if isinstance(frame, TextInput | AudioInput | ImageInput):
            return self.offer(client_id, frame)
        return None

    def offer(self, client_id, frame):
        if len(self.taken) >= QUEUE:
            self.turned_away.add(client_id)
            return "busy"
        known = self.world.known(client_id)
        receiver = self.receivers.setdefault(client_id, Receiver(known, WINDOW))
        try:
            self.taken += [(client_id, one) for one in receiver.offer(frame.seq, frame)]
        except FrameError as error:
            return error.code
        if frame.seq in known:
            self.acknowledge(client_id)  # the acknowledgement was lost
        return None

    def greet(self, client_id, since=None):
        journal = self.world.journal
        known, window = self.world.known(client_id), INPUT_WINDOW if self.confirms else None
        features = ("direct",) if self.epoch % 3 else ()  # now and then one behind a gateway
        ready = Ready(
            session="s", known=known, history=0, head=len(journal), since=since, window=window, features=features
        )
        again = range(max(since, 0), len(journal)) if since is not None else ()
        self.listeners[client_id].greeted = True
        self.listeners[client_id].outbox += [ready, *map(self.world.frame, again)]

    def tell(self, frame):
        for listener in self.listeners.values():
            if listener.greeted:
                listener.outbox.append(frame)

    def acknowledge(self, client_id):
        if client_id in self.listeners:
            known = self.world.known(client_id)
            self.listeners[client_id].outbox.append(InputAck(upto=known.upto, beyond=known.beyond))

    def confirm(self, client_id):
        """Tell what has come, though it is not durable."""
        if self.confirms and client_id in self.receivers and client_id in self.listeners:
            receiver = self.receivers[client_id]
            received = Received(upto=receiver.expected - 1, beyond=receiver.beyond)
            self.listeners[client_id].outbox.append(received)

    def relieve(self):
        """There is room again: have those who were refused send again."""
        if len(self.taken) > QUEUE // 2:
            return
        for client_id in self.turned_away & self.listeners.keys():
            self.listeners[client_id].outbox.append(Resume())
            self.confirm(client_id)
        self.turned_away.clear()

    def commit(self, *, text_first, tell):
        self._commit(text_first=text_first, tell=tell)
        self.relieve()

    def _commit(self, *, text_first, tell):
        """Make the next input durable: a text, an image, or all the audio up to here as one turn."""
        texts = [at for at, (_, frame) in enumerate(self.taken) if isinstance(frame, TextInput)]
        first = texts[0] if texts and text_first else 0
        client_id, frame = self.taken[first]
        turn = [frame]
        if isinstance(frame, AudioInput):
            turn = [one for who, one in self.taken if who == client_id and isinstance(one, AudioInput)]
        if isinstance(frame, ImageInput):
            self._image(client_id, frame)
            return
        self.taken = [(who, one) for who, one in self.taken if who != client_id or one not in turn]
        contents = tuple(one.text if isinstance(one, TextInput) else one.pcm.decode().strip() for one in turn)
        self._record(client_id, tuple(one.seq for one in turn), contents, tell=tell)

    def _image(self, client_id, frame):
        self.taken.remove((client_id, frame))
        image = self.images.setdefault(client_id, ImageAssembler()).take(frame)
        if image is not None:
            self._record(client_id, image.seqs, (image.data[:3].decode().strip("."),), tell=True)

    def _record(self, client_id, seqs, contents, *, tell):
        first = len(self.world.journal)
        self.world.journal += [Record(client_id, seqs, contents, True), Record(client_id, (), contents, False)]
        if tell:
            self.acknowledge(client_id)
            self.tell(self.world.frame(first))
            self.speak()
            self.tell(self.world.frame(first + 1))

    def let_silence_pass(self):
        """Audio that belongs to no turn is taken to be silence when it is some seconds old."""
        for client_id, frame in [one for one in self.taken if isinstance(one[1], AudioInput)]:
            self.taken.remove((client_id, frame))
            self.world.silence.setdefault(client_id, {})[frame.seq] = frame.pcm.decode().strip()
            self.acknowledge(client_id)
        self.relieve()

    def speak(self):
        self.world.sounds += 1
        self.tell(AudioOutput(audio=AudioInput.from_pcm(self.world.sounds.to_bytes(4)).audio, rate=8000))

    def post(self, client_id, most):
        """Send one POST: the waiting frames, or some of them, in one message."""
        listener = self.listeners[client_id]
        count = min(fitting(listener.outbox), most)
        stamped = [self.numbering.stamp(client_id, frame) for frame in listener.outbox[:count]]
        del listener.outbox[:count]
        link = self.world.link(client_id, listener.number)
        if link is None:
            del self.listeners[client_id]  # 410
        elif stamped:
            link.to_client.append(encode_batch(stamped))


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
