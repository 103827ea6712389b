"""Under any fault of network and holders, input takes effect once, journal content is shown once, all in order."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from segue.wire.frames import Reconnect, encode_frame
from tests.unit.client.world import JUNK, World

DICE = st.integers(0, 1000)


def pick(dice, options):
    """The one that is next: mostly the oldest."""
    return options[dice % len(options) if dice % 4 == 3 else 0]


class Continuity(RuleBasedStateMachine):
    """The dice."""

    def __init__(self):
        super().__init__()
        self.world = World()

    def some_page(self, dice):
        return self.world.pages[dice % len(self.world.pages)]

    def under_way(self, dice):
        """Some connection's messages in one direction, after pages and holder have sent what is due."""
        for page in self.world.pages:
            page.send(self.world.now)
        holder = self.world.holder
        for client_id in list(holder.listeners):
            holder.post(client_id, most=dice % 5 + 1)
        links = [link for page in self.world.pages for link in page.links.values()]
        queues = [queue for link in links for queue in (link.to_server, link.to_client) if queue]
        return queues[dice // 5 % len(queues)] if queues else []

    # clients

    @rule(dice=DICE, kind=st.sampled_from(["text", "audio", "audio", "audio", "image"]), count=st.integers(1, 6))
    def say(self, dice, kind, count):
        for _ in range(1 if kind == "image" else count):
            self.world.say(self.some_page(dice), kind)

    @rule(dice=DICE)
    def send(self, dice):
        self.some_page(dice).send(self.world.now)

    @rule(dice=DICE)
    def wait(self, dice):
        self.world.now += dice % 20 / 8
        for page in self.world.pages:
            page.show(page.talk.tick(self.world.now))

    @rule(dice=DICE)
    def renew(self, dice):
        page = self.some_page(dice)
        if len(page.links) < 3:
            page.connect(self.world.now)

    @rule(dice=DICE)
    def reconnect(self, dice):
        """The worker of some connection is about to end."""
        links = list(self.some_page(dice).links.values())
        if links and len(links) < 3:
            links[dice % len(links)].to_client.append(encode_frame(Reconnect(after_ms=dice % 3 * 300)))

    @rule(dice=DICE)
    def tidy(self, dice):
        self.some_page(dice).tidy(self.world.now)

    @rule(dice=DICE)
    def cut(self, dice):
        page = self.some_page(dice)
        if page.links:
            page.cut(list(page.links)[dice // 2 % len(page.links)])

    @precondition(lambda self: len(self.world.pages) + len(self.world.gone) < 4)
    @rule(dice=DICE)
    def reload(self, dice):
        self.world.close_page(self.some_page(dice))
        self.world.open_page()

    @precondition(lambda self: len(self.world.pages) < 2)
    @rule()
    def join(self):
        self.world.open_page()

    # the network

    @rule()
    def flow(self):
        self.world.flow()

    @rule(dice=DICE)
    def reach_server(self, dice):
        page = self.some_page(dice)
        page.send(self.world.now)
        for number, link in page.links.items():
            if link.to_server:
                self.world.reach_server(page, number, link.to_server.index(pick(dice, link.to_server)))
                return

    @rule(dice=DICE)
    def reach_client(self, dice):
        page = self.some_page(dice)
        for number, link in page.links.items():
            if link.to_client:
                page.hear(link.to_client.pop(link.to_client.index(pick(dice, link.to_client))), self.world.now, number)
                return

    @rule(dice=DICE)
    def lose(self, dice):
        if messages := self.under_way(dice):
            messages.pop(dice % len(messages))

    @rule(dice=DICE)
    def lose_some_of_an_answer(self, dice):
        """Frames go out one by one, one message is lost, and the rest comes in time or too late to wait for it."""
        holder = self.world.holder
        while holder.taken:
            holder.commit(text_first=False, tell=True)
        for client_id in list(holder.listeners):
            while client_id in holder.listeners and holder.listeners[client_id].outbox:
                holder.post(client_id, most=1)
        for page in self.world.pages:
            for number, link in page.links.items():
                if link.to_client:
                    link.to_client.pop(dice % len(link.to_client))
                while link.to_client:
                    page.hear(link.to_client.pop(0), self.world.now, number)
        self.wait(dice)

    @rule(dice=DICE)
    def double(self, dice):
        if messages := self.under_way(dice):
            messages.append(messages[dice % len(messages)])

    @rule(dice=DICE)
    def junk(self, dice):
        for link in self.some_page(dice).links.values():
            link.to_client.append(JUNK)

    # holders

    @rule(dice=DICE)
    def lose_what_is_said_now(self, dice):
        """Lose everything for a while, as a throttled function does."""
        page = self.some_page(dice)
        page.send(self.world.now)
        for link in page.links.values():
            link.to_server.clear()

    @rule(dice=DICE)
    def post(self, dice):
        holder = [self.world.holder, *self.world.passed][dice % (len(self.world.passed) + 1) if dice % 3 == 0 else 0]
        if holder.listeners:
            holder.post(list(holder.listeners)[dice % len(holder.listeners)], most=dice % 7 + 1)

    @precondition(lambda self: self.world.holder.taken)
    @rule(dice=DICE)
    def commit(self, dice):
        """Sometimes the holder dies between its commit and telling."""
        dies = dice % 5 == 0
        self.world.holder.commit(text_first=dice % 2 == 0, tell=not dies)
        if dies:
            self.world.pass_on(raise_epoch_by=1, greet=dice % 3)

    @rule(dice=DICE)
    def confirm(self, dice):
        holder = [self.world.holder, *self.world.passed][dice % (len(self.world.passed) + 1) if dice % 3 == 0 else 0]
        for client_id in holder.receivers:
            holder.confirm(client_id)

    @rule()
    def silence(self):
        self.world.holder.let_silence_pass()

    @rule()
    def speak(self):
        for holder in (self.world.holder, *self.world.passed):
            holder.speak()

    @rule(dice=DICE)
    def hand_over(self, dice):
        self.world.hand_over(flushed=dice % 2 == 0, greet=dice % 3)

    @rule(dice=DICE)
    def take_over(self, dice):
        self.world.pass_on(raise_epoch_by=1 + dice % 2, greet=dice % 3)

    @precondition(lambda self: self.world.addresses)
    @rule(dice=DICE)
    def welcome(self, dice):
        """A late claim names a client once more."""
        self.world.welcome(*list(self.world.addresses.items())[dice % len(self.world.addresses)])

    # always

    @invariant()
    def shown(self):
        self.world.check_shown()

    @invariant()
    def durable(self):
        self.world.check_journal()

    def teardown(self):
        self.world.check_shown()
        self.world.settle()
        self.world.check_all()


Continuity.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestContinuity = pytest.mark.slow(Continuity.TestCase)
