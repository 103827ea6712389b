"""A holder of the session as a client's tests know it: its memory dies with it, the journal does not."""

from __future__ import annotations

from dataclasses import dataclass, field

from segue.wire.frames import (
    AudioInput,
    AudioOutput,
    FrameError,
    Hello,
    ImageInput,
    InputAck,
    Ready,
    Received,
    Resume,
    TextInput,
    encode_batch,
    fitting,
)
from segue.wire.images import ImageAssembler
from segue.wire.output import OutputNumbering
from segue.wire.receiver import Receiver

WINDOW = 24
INPUT_WINDOW = 8
QUEUE = 8


@dataclass
class Record:
    """One record of the journal: the input of a client, or an answer."""

    client_id: str
    seqs: tuple
    contents: tuple
    user: bool


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
