"""Decides which tokens of which sequences the next step computes.

Running sequences decode first: one token each, what a grammar forces behind it, and drafts of what may follow, where
these are likely enough to pay. Then prompts get a budget of tokens, in chunks, so that a long prompt never stalls
running streams for longer than one chunk (Sarathi-Serve, 2024); chunks.py says whose.

Places and room in the cache go to owners in turns, see queue.py.
"""

from __future__ import annotations

import sys
from collections import Counter

from adaptive_engine.engine.chunks import LEAST, Price, by_depth, by_number, fill_up, share_among_owners
from adaptive_engine.engine.kv_cache import BlockPool
from adaptive_engine.engine.prefix import BlockName, block_names
from adaptive_engine.engine.queue import FairQueue
from adaptive_engine.engine.runner import StepCosts
from adaptive_engine.engine.sequence import Sequence, Slice
from adaptive_engine.engine.sessions import SessionKey, Tail
from adaptive_engine.engine.speculation import pays

# One that lacks room lets so many others by, and then everybody waits for it.
_MAX_PASSED = 8
# So many that lack room are looked at in a step: each look compares prefixes.
_MAX_LACKING = 4
# Beyond the places, for owners of whom nothing runs: one for so many places. They would wait for others to end, and the
# step has hardly more rows.
_PLACES_FOR_ONE_EXTRA = 4
# So many tokens of prompts in the background a step computes beside the foreground, which notices little of it.
_BACKGROUND_TOKENS = 16


class Scheduler:
    """Owns the sequences from submission to release. Not thread-safe: only the engine thread uses it."""

    def __init__(
        self,
        pool: BlockPool,
        *,
        max_running: int,
        prefill_tokens: int,
        prefill_tokens_busy: int | None = None,
        costs: StepCosts,
        speculation: bool = False,
        max_rows: int | None = None,
    ) -> None:
        """A step prefills up to `prefill_tokens`, but `prefill_tokens_busy` while others decode, by default so many
        that it takes half as long again.

        `speculation` makes drafts where they pay. No step has more than `max_rows` rows, if that is given.
        """
        self.pool = pool
        self.waiting = FairQueue()
        self.running: list[Sequence] = []
        self.preemptions = 0
        self._max_rows = max_rows or sys.maxsize
        self.max_running = min(max_running, self._max_rows - LEAST)
        extra = -(-self.max_running // _PLACES_FOR_ONE_EXTRA)
        self.extra_places = min(extra, self._max_rows - LEAST - self.max_running)
        """For owners of whom nothing runs."""
        self._prefill_tokens = prefill_tokens
        self._prefill_tokens_busy = prefill_tokens_busy
        self._costs = costs
        self._speculation = speculation
        self._by_depth = by_depth(costs.doubling_depth)
        # Prompt blocks that a running sequence is about to compute: others with the same prefix wait for them.
        self._filling: dict[BlockName, Sequence] = {}

    def add(self, sequence: Sequence) -> None:
        self.waiting.add(sequence)

    def schedule(self) -> list[Slice]:
        """The slices of the next step; empty only when there is no work."""
        slices = self._decodes()
        self._admit_waiting()
        # One that was displaced has no tokens computed any more.
        slices = [part for part in slices if part.sequence.computed == part.start]
        decoding = {part.sequence for part in slices}
        prefilling = [sequence for sequence in self.running if sequence not in decoding]
        rows = sum(part.rows for part in slices)
        # However much is forced, prompts get on.
        budget = max(self._busy_tokens(len(slices)) - (rows - len(slices)), LEAST) if slices else self._prefill_tokens
        price = self._by_depth if slices else by_number
        slices += self._prefills(min(budget, self._max_rows - rows), prefilling, price)
        # Where rows cost the same in any number, nothing is padded.
        if self._costs.resize:
            fill_up(slices)
        return slices

    def advance(self, sequence: Sequence, computed: int) -> None:
        """So many tokens of the sequence are computed: full blocks of them can be shared from now on."""
        self.waiting.charge(sequence, computed)
        sequence.computed = computed
        size = self.pool.block_size
        known = len(sequence.names)
        if sequence.computed // size == known:
            return
        # Names of a resumed sequence's generated tokens are not among the prompt's.
        request = sequence.request
        sequence.names = block_names(
            request.cache_salt, sequence.tokens[: sequence.computed], size, sequence.names, request.prompt.images
        )
        for index in range(known, len(sequence.names)):
            name = sequence.names[index]
            self.pool.name(sequence.blocks[index], name)
            self._filling.pop(name, None)

    def remove(self, sequence: Sequence) -> None:
        """The sequence has ended, for whatever reason. Its named blocks stay for reuse, its session's for longer."""
        if sequence in self.running:
            self.running.remove(sequence)
            self._keep(sequence)
            self._release(sequence)
            self.waiting.leave(sequence)
        elif sequence in self.waiting:
            self.waiting.leave(sequence)

    def reset(self) -> None:
        """Drop all sequences, blocks and cached prefixes."""
        self.running.clear()
        self.waiting.clear()
        self._filling.clear()
        self.pool.reset()

    def check(self) -> None:
        """Invariants that hold when nothing runs."""
        assert not self.running, "check is for an idle engine"
        if self._filling:
            raise AssertionError("an idle engine still fills blocks")
        self.pool.check()

    def _decodes(self) -> list[Slice]:
        """The sampled token of each sequence whose prompt is computed, what its grammar forces behind, and drafts.

        Sixteen forced tokens cost less than two steps of one. All forced ones of a step together count like a prompt.
        """
        decoding = [sequence for sequence in self.running if not sequence.remaining_prefill]
        slices: list[Slice] = []
        # A row for each that decodes is set aside, and those for a prompt.
        spare = min(self._busy_tokens(len(decoding)), self._max_rows - len(decoding) - LEAST)
        for sequence in decoding:
            if not sequence.blocks:
                continue  # An older one took them.
            count = min(sequence.remaining, 1 + spare)
            if self._reserve(sequence, sequence.computed + count):
                spare -= count - 1
                slices.append(Slice(sequence, sequence.computed, sequence.computed + count))
        # Making room may have preempted a sequence that already had its slice.
        slices = [part for part in slices if part.sequence.blocks]
        if self._speculation:
            for part in slices:
                if part.samples:
                    spare -= self._draft(part, len(slices), spare)
        return slices

    def _busy_tokens(self, decoding: int) -> int:
        """How many tokens a step may have beside one of each that decodes."""
        if self._prefill_tokens_busy is not None:
            return self._prefill_tokens_busy
        half_of_step = int((1 / self._costs.row + decoding) / 2)
        return max(half_of_step, self._costs.busy_prompt_tokens)

    def _draft(self, part: Slice, rows: int, limit: int) -> int:
        """Add up to `limit` drafts if they pay in a step of `rows` rows, and have room without preempting."""
        sequence = part.sequence
        # A guess costs nothing; if it would have been right is how the drafter knows its chance.
        drafts = sequence.drafter.propose(sequence.tokens)
        if not drafts or not pays(sequence.drafter.chance, self._costs, rows):
            return 0
        # One token comes in any case; drafts beyond the last one that may be generated are of no use.
        drafts = drafts[: max(min(limit, sequence.budget - 1), 0)]
        if drafts and sequence.request.constraint is not None:
            drafts = drafts[: sequence.request.constraint.admits(drafts)]
        room = (len(sequence.blocks) + self.pool.available) * self.pool.block_size - part.stop
        part.drafts = drafts[: max(room, 0)]
        if part.drafts:
            self._reserve(sequence, part.stop + len(part.drafts))
        return len(part.drafts)

    def _prefills(self, budget: int, prefilling: list[Sequence], price: Price) -> list[Slice]:
        """Chunks of prompts that together cost at most `budget`. The background gets what is left over."""
        background = [sequence for sequence in prefilling if sequence.request.background]
        if not background:
            return share_among_owners(budget, prefilling, price)
        slices = share_among_owners(budget, [one for one in prefilling if not one.request.background], price)
        left = budget - sum(part.rows * price(part.sequence) for part in slices)
        if any(not sequence.request.background for sequence in self.running):
            left = min(left, _BACKGROUND_TOKENS)
        return slices + share_among_owners(left, background, price) if left >= LEAST else slices

    def _admit_waiting(self) -> None:
        """In turn, as far as places and room go. Small ones may pass a few times what lacks room."""
        if not self.waiting:
            return
        lacking: list[Sequence] = []
        for sequence in self.waiting.in_turn():
            if sequence.request.background and lacking:
                return
            if not self._has_place(sequence) and not self._displace_for(sequence):
                # One of another owner may still have one of the extra places.
                if len(self.running) >= self.max_running + self.extra_places:
                    return
                continue
            if self._must_wait_for_prefix(sequence):
                continue
            if self._admit(sequence) or (self._displace_for(sequence) and self._admit(sequence)):
                for passed in lacking:
                    passed.passed += 1
            else:
                lacking.append(sequence)
            if len(lacking) >= _MAX_LACKING:
                return
            if any(one.passed >= _MAX_PASSED for one in lacking):
                return

    def _has_place(self, sequence: Sequence) -> bool:
        request = sequence.request
        may_have_extra = not request.background and not self.waiting.running(request.owner)
        return len(self.running) < self.max_running + (self.extra_places if may_have_extra else 0)

    def _displace_for(self, sequence: Sequence) -> bool:
        """Take its place from the youngest in the background, for one in the foreground; whether there was any."""
        if sequence.request.background:
            return False
        for running in reversed(self.running):
            if running.request.background:
                self._preempt(running)
                return True
        return False

    def _reserve(self, sequence: Sequence, tokens: int) -> bool:
        """Blocks for `tokens` tokens; others give way for them. False: the sequence itself had to."""
        missing = -(-tokens // self.pool.block_size) - len(sequence.blocks)
        while missing > self.pool.available:
            victim = self._victim()
            self._preempt(victim)
            if victim is sequence:
                return False
        if missing > 0:
            sequence.blocks += self.pool.allocate(missing)
        return True

    def _victim(self) -> Sequence:
        """One in the background, else the youngest of the owner that has most running.

        So the oldest in the foreground never gives way, and gets on.
        """
        running = Counter(sequence.request.owner for sequence in self.running)
        return max(reversed(self.running), key=lambda one: (one.request.background, running[one.request.owner]))

    def _preempt(self, sequence: Sequence) -> None:
        """Take the blocks away; the tokens stay, and are computed again when there is room."""
        self.running.remove(sequence)
        self._release(sequence)
        sequence.computed = 0
        sequence.preemptions += 1
        self.preemptions += 1
        self.waiting.put_back(sequence)

    def _must_wait_for_prefix(self, sequence: Sequence) -> bool:
        """Its next prompt block is being computed by another sequence right now: waiting is cheaper than twice.

        The foreground does not wait for the background, which leaves it what it has computed.
        """
        matched = self.pool.match(sequence.prompt_names)
        if matched == len(sequence.prompt_names):
            return False
        filling = self._filling.get(sequence.prompt_names[matched])
        if filling is None:
            return False
        if filling.request.background and not sequence.request.background:
            self._preempt(filling)
            return False
        return True

    def _admit(self, sequence: Sequence) -> bool:
        """Share the cached prefix, allocate the rest of the tokens known so far. False: not enough room yet."""
        size = self.pool.block_size
        reusable = sequence.prompt_names[: _reusable(sequence) // size]
        shared = reusable[: self.pool.match(reusable)]
        needed = -(-len(sequence.tokens) // size) - len(shared)
        # A block more for each that runs: else one of them would soon have to give way, and be computed twice.
        if needed + self.pool.idle_among(shared) + len(self.running) > self.pool.available:
            return False
        sequence.blocks = self.pool.share(shared)
        sequence.names = list(shared)
        sequence.computed = len(shared) * size
        needed -= self._continue_tail(sequence)
        sequence.blocks += self.pool.allocate(needed)
        if not sequence.preemptions:
            sequence.cached_tokens = sequence.computed
        self.waiting.take(sequence)
        self._filling.update((name, sequence) for name in reusable[len(shared) :])
        self.running.append(sequence)
        return True

    def _continue_tail(self, sequence: Sequence) -> int:
        """Write on in the block that its session's last turn did not fill, if it goes on alike; returns 1 if so."""
        session = _session(sequence)
        if session is None:
            return 0
        parent = sequence.names[-1] if sequence.names else sequence.request.cache_salt
        tokens = sequence.content(sequence.computed, _reusable(sequence))
        blocks, found = self.pool.take_tail(session, parent, tokens)
        sequence.blocks += blocks
        sequence.computed += found
        return len(blocks)

    def _keep(self, sequence: Sequence) -> None:
        """Hold what the sequence has computed for its session's next turn."""
        session = _session(sequence)
        if session is None:
            return
        full = len(sequence.names)
        tail = None
        if part := sequence.content(full * self.pool.block_size, sequence.computed):
            parent = sequence.names[-1] if sequence.names else sequence.request.cache_salt
            tail = Tail(sequence.blocks[full], parent, tuple(part))
        self.pool.keep(session, sequence.names, tail)

    def _release(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.names = []
        for name in sequence.prompt_names:
            if self._filling.get(name) is sequence:
                del self._filling[name]


def _reusable(sequence: Sequence) -> int:
    """How many tokens of its prompt may come from the cache: the last one is computed for its logits, and not alone."""
    return max(min(sequence.prefill_length - 2, sequence.prompt_length), 0)


def _session(sequence: Sequence) -> SessionKey | None:
    request = sequence.request
    return None if request.session is None else SessionKey(request.cache_salt, request.session)
