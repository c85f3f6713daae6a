# Orders of entries, compiled: what `plain_orders` does, without an object or a key looked up per entry.
#
# CompiledQueue and CompiledRing hold references to entries, one a record. CompiledOrder and
# CompiledUses hold (hash, stamp): the table keeps a note beside every hash cell, and a record lives
# while some cell with its hash has its stamp. A touch writes one note and the end of a log, neither
# of which has a neighbour to update. Stamps wrap around after 2^31 touches; a record that is mistaken
# then must have the hash of the other one too, and puts one entry out of order.

cdef enum:
    AHEAD_FAR = 32  # records: the cells of what comes so far behind are fetched,
    AHEAD = 8  # then the entry,
    AHEAD_NEAR = 4  # then what the entry points to
    COMING = 8  # entries: of each that comes its cell is fetched,
    COMING_ENTRY = 5  # then itself,
    COMING_PAYLOAD = 2  # then what it points to


cdef inline uint64_t record_of(uint32_t code, uint32_t stamp) noexcept:
    return (<uint64_t>code << 32) | stamp


cdef bint reference_lives(void* owner, uint64_t record) noexcept:
    """For packing: what is stale is released."""
    cdef PyObject* entry = <PyObject*><size_t>record
    if (<Entry>entry).marks >> 2 == (<CompiledQueue>owner).number:
        return True
    Py_DECREF(<object>entry)
    return False


cdef void fetch_reference(void* owner, uint64_t record) noexcept:
    rd_prefetch(<char*><size_t>record + 56)


cdef bint stamp_lives(void* owner, uint64_t record) noexcept:
    return (<CompiledTable>owner).cell_of_stamp(<uint32_t>(record >> 32), <uint32_t>record) >= 0


cdef void fetch_stamp(void* owner, uint64_t record) noexcept:
    (<CompiledTable>owner).fetch_note(<uint32_t>(record >> 32))


cdef inline void fetch_entry(PyObject* entry) noexcept:
    rd_prefetch(entry)
    rd_prefetch(<char*>entry + 56)


cdef inline void fetch_lengths(PyObject* entry) noexcept:
    """What a move of an entry to another queue will look at."""
    rd_prefetch(<char*><PyObject*>(<Entry>entry).key + 16)
    rd_prefetch(<char*><PyObject*>(<Entry>entry).reply + 16)


cdef inline void fetch_payload(PyObject* entry) noexcept:
    """What the removal of an entry will look at: heads of objects may lie across two lines of the cache."""
    cdef char* key = <char*><PyObject*>(<Entry>entry).key
    cdef char* reply = <char*><PyObject*>(<Entry>entry).reply
    rd_prefetch(key)
    rd_prefetch(key + 16)
    rd_prefetch(reply)
    rd_prefetch(reply + 16)


@cython.final
@cython.no_gc_clear
cdef class CompiledQueue:
    cdef CompiledTable table
    cdef Log log
    cdef int number

    def __init__(self):
        raise TypeError("queues are made by their table")

    def __dealloc__(self):
        cdef Block* block = self.log.first
        cdef uint32_t i
        while block != NULL:
            for i in range(block.begin, block.end):
                Py_DECREF(<object><PyObject*><size_t>block.records[i])
            block = block.next
        log_free(&self.log)

    def __len__(self):
        return self.table.tally_counts[self.number]

    @property
    def references(self):
        return self.log.length

    @property
    def allocated_bytes(self):
        return log_bytes(&self.log)

    cdef int append(self, Entry entry) except -1:
        log_push(&self.log, <uint64_t><size_t><PyObject*>entry)
        Py_INCREF(entry)
        return 0

    cpdef push(self, Entry entry):
        if entry is None:
            raise TypeError("entry must not be None")
        self.table.assign(entry, self.number)
        self.append(entry)
        if self.log.length > 2 * self.table.tally_counts[self.number] + LOG_SLACK:
            log_pack(&self.log, <void*>self, reference_lives, fetch_reference)

    def rotate(self, Entry entry not None):
        self.append(entry)

    cdef PyObject* take(self) noexcept:
        """The oldest live entry, with the reference that the queue had; NULL when there is none."""
        cdef Block* block
        cdef PyObject* entry
        cdef size_t ahead
        while True:
            block = log_front(&self.log)
            if block == NULL:
                return NULL
            ahead = <size_t>log_ahead(block, AHEAD)
            if ahead:
                rd_prefetch(<char*>ahead)
                rd_prefetch(<char*>ahead + 56)
            ahead = <size_t>log_ahead(block, AHEAD_NEAR)
            if ahead:
                fetch_payload(<PyObject*>ahead)
            entry = <PyObject*><size_t>block.records[block.begin]
            log_drop_front(&self.log, block)
            if (<Entry>entry).marks >> 2 == self.number:
                return entry
            Py_DECREF(<object>entry)

    def pop(self):
        cdef PyObject* found = self.take()
        if found == NULL:
            return None
        entry = <Entry>found
        Py_DECREF(entry)
        return entry

    def pop_unread(self, bint forgets):
        cdef PyObject* found
        cdef Entry entry
        while True:
            found = self.take()
            if found == NULL:
                return None
            entry = <Entry>found
            Py_DECREF(entry)
            if not entry.marks & 3:
                return entry
            entry.marks = entry.marks & 252 if forgets else entry.marks - 1
            self.append(entry)

    def pop_below(self, int reads, CompiledQueue others not None):
        cdef PyObject* found
        cdef Entry entry
        while True:
            found = self.take()
            if found == NULL:
                return None
            entry = <Entry>found
            Py_DECREF(entry)
            if entry.marks & 3 < reads:
                return entry
            entry.marks &= 252
            others.push(entry)


@cython.final
@cython.no_gc_clear
cdef class CompiledRing:
    cdef CompiledQueue queue

    def __init__(self):
        raise TypeError("rings are made by their table")

    @property
    def allocated_bytes(self):
        return log_bytes(&self.queue.log)

    def push(self, Entry entry not None):
        self.queue.push(entry)

    cdef PyObject* at_hand(self) noexcept:
        """The live entry at the hand, which passes over stale ones; NULL at the end."""
        cdef Log* log = &self.queue.log
        cdef PyObject* entry
        if log.hand == NULL:
            log.hand = log.first
            log.hand_at = 0 if log.hand == NULL else log.hand.begin
        while log.hand != NULL:
            while log.hand_at < log.hand.end:
                if log.hand_at + AHEAD < log.hand.end:
                    rd_prefetch(<char*><size_t>log.hand.records[log.hand_at + AHEAD])
                    rd_prefetch(<char*><size_t>log.hand.records[log.hand_at + AHEAD] + 56)
                if log.hand_at + AHEAD_NEAR < log.hand.end:
                    fetch_payload(<PyObject*><size_t>log.hand.records[log.hand_at + AHEAD_NEAR])
                entry = <PyObject*><size_t>log.hand.records[log.hand_at]
                if (<Entry>entry).marks >> 2 == self.queue.number:
                    return entry
                log.hand_at += 1
            log.hand = log.hand.next
            log.hand_at = 0 if log.hand == NULL else log.hand.begin
        return NULL

    def unread(self):
        cdef PyObject* found
        cdef int ends = 0
        # Twice round suffices: the first round clears every count.
        while ends < 3:
            found = self.at_hand()
            if found == NULL:
                ends += 1
                continue
            if not (<Entry>found).marks & 3:
                return <Entry>found
            (<Entry>found).marks &= 252
            self.queue.log.hand_at += 1
        return None

    def advance(self):
        if self.at_hand() != NULL:
            self.queue.log.hand_at += 1
            # Wrapping at once matters: past the end the hand would meet the next insertion first.
            self.at_hand()

    def leave(self, Entry entry not None):
        cdef Log* log = &self.queue.log
        if log.hand != NULL and log.hand_at < log.hand.end:
            if log.hand.records[log.hand_at] == <uint64_t><size_t><PyObject*>entry:
                self.advance()


cdef int64_t ORDERED_BYTES = 40  # at most, for the records (25) and the note (10 to 20) of an entry, less the
# 9 that the table's own figure includes; a limit can be kept to because it does not grow by leaps


@cython.final
@cython.no_gc_clear
cdef class CompiledOrder:
    cdef CompiledTable table
    cdef Log log
    cdef uint64_t coming[COMING]  # a ring of records that lived when they left the log, older than all there
    cdef int turn, coming_count
    cdef int number, feeder
    cdef bint moves_on  # whether the first ones go to another order, rather than leave the table

    @property
    def bytes_per_entry(self):
        return ORDERED_BYTES

    def __init__(self):
        raise TypeError("orders are made by their table")

    def __dealloc__(self):
        log_free(&self.log)
        if self.table is not None:
            self.table.drop_notes()

    def __len__(self):
        return self.table.tally_counts[self.number]

    @property
    def overhead_bytes(self):
        return ORDERED_BYTES * self.table.tally_counts[self.number]

    @property
    def allocated_bytes(self):
        return log_bytes(&self.log)

    cdef inline int append_at(self, size_t cell) except -1:
        """The entry in this cell is the newest now."""
        cdef CompiledTable table = self.table
        table.stamp_note(table.note_at(cell))
        log_push(&self.log, record_of(table.hashes[cell], table.stamp))
        if self.log.length > 3 * table.tally_counts[self.number] + LOG_SLACK:
            log_pack(&self.log, <void*>table, stamp_lives, fetch_stamp)
        return 0

    cdef int64_t cell_of(self, Entry entry, uint32_t code) except -1:
        cdef int64_t cell = self.table.cell_index(entry, code)
        if cell < 0:
            raise ValueError("the entry is in another table")
        return cell

    def push(self, Entry entry not None):
        self.join(entry)

    cdef int join(self, Entry entry) except -1:
        self.table.move(entry, self.number)
        return self.append_at(<size_t>self.cell_of(entry, self.table.code_of(entry)))

    def touch(self, Entry entry not None):
        self.use(entry, self.table.code_of(entry))

    cdef inline int use(self, Entry entry, uint32_t code) except -1:
        cdef int queue = entry.marks >> 2
        if queue == 0:
            return 0
        if queue != self.number:
            if queue != self.feeder:
                return 0
            self.table.move(entry, self.number)
        return self.append_at(<size_t>self.cell_of(entry, code))

    cdef bint pull(self) noexcept:
        """Let the log's oldest record come, unless it is stale; returns whether there was one."""
        cdef Block* block = log_front(&self.log)
        cdef uint64_t record, ahead
        cdef int64_t cell
        if block == NULL:
            return False
        ahead = log_ahead(block, AHEAD_FAR)
        if ahead:
            self.table.fetch_note(<uint32_t>(ahead >> 32))
        record = block.records[block.begin]
        log_drop_front(&self.log, block)
        cell = self.table.cell_of_record(record)
        if cell >= 0:
            rd_prefetch(self.table.cells + cell)
            self.coming[(self.turn + self.coming_count) & (COMING - 1)] = record
            self.coming_count += 1
        return True

    cdef inline PyObject* comes(self, int distance) noexcept:
        """The entry that comes so far behind the first one; NULL when none does, or its record is stale."""
        cdef int64_t cell = -1
        if self.coming_count > distance:
            cell = self.table.cell_of_record(self.coming[(self.turn + distance) & (COMING - 1)])
        return NULL if cell < 0 else self.table.cells[cell]

    cdef int64_t first(self) noexcept:
        """The cell of the entry that was touched longest ago; -1 when there is none."""
        cdef PyObject* entry
        cdef int64_t cell
        while True:
            while self.coming_count < COMING and self.pull():
                pass
            if self.coming_count == 0:
                return -1
            cell = self.table.cell_of_record(self.coming[self.turn])
            if cell >= 0:
                return cell
            self.turn = (self.turn + 1) & (COMING - 1)
            self.coming_count -= 1
            entry = self.comes(COMING_ENTRY)
            if entry != NULL:
                # A move does not count a reference.
                rd_prefetch(<char*>entry + 56)
                if not self.moves_on:
                    rd_prefetch(entry)
            entry = self.comes(COMING_PAYLOAD)
            if entry != NULL:
                if self.moves_on:
                    fetch_lengths(entry)
                else:
                    fetch_payload(entry)

    def oldest(self):
        cdef int64_t cell = self.first()
        return None if cell < 0 else <Entry>self.table.cells[cell]


cdef enum:
    COUNT_MAX = 65535
agree("USES_MAX", COUNT_MAX, USES_MAX)


cdef struct Group:
    Log log
    int64_t live


@cython.final
@cython.no_gc_clear
cdef class CompiledUses:
    cdef CompiledTable table
    cdef Group* groups  # by count of uses; 0 stays empty
    cdef uint32_t room, least, most  # no group lives below or above
    cdef int number
    cdef int64_t halve_every, seen, blocks
    cdef int64_t counts_used  # groups above the first that live: each may have a block that is nearly empty

    @property
    def bytes_per_entry(self):
        return ORDERED_BYTES

    def __init__(self):
        raise TypeError("orders are made by their table")

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.room):
            log_free(&self.groups[i].log)
        free(self.groups)
        if self.table is not None:
            self.table.drop_notes()

    def __len__(self):
        return self.table.tally_counts[self.number]

    @property
    def overhead_bytes(self):
        cdef int64_t sparse = self.counts_used * <int64_t>sizeof(Block) + self.room * <int64_t>sizeof(Group)
        return ORDERED_BYTES * self.table.tally_counts[self.number] + sparse

    @property
    def allocated_bytes(self):
        return self.blocks * <int64_t>sizeof(Block) + self.room * <int64_t>sizeof(Group)

    cdef int place(self, Note* note, uint32_t code, uint32_t uses) except -1:
        cdef CompiledTable table = self.table
        cdef Group* groups
        cdef Group* group
        cdef uint32_t room
        if uses >= self.room:
            room = uses + uses // 2 + 16
            groups = <Group*>realloc(self.groups, room * sizeof(Group))
            if groups == NULL:
                raise MemoryError()
            memset(groups + self.room, 0, (room - self.room) * sizeof(Group))
            self.groups, self.room = groups, room
        if self.groups[self.least].live == 0:
            self.least = self.most = uses
        table.stamp_note(note)
        note.number = uses
        group = &self.groups[uses]
        self.counts_used += group.live == 0 and uses > 1
        group.live += 1
        self.blocks -= group.log.blocks
        log_push(&group.log, record_of(code, table.stamp))
        if group.log.length > 3 * group.live + LOG_SLACK:
            log_pack(&group.log, <void*>table, stamp_lives, fetch_stamp)
        self.blocks += group.log.blocks
        if uses < self.least:
            self.least = uses
        if uses > self.most:
            self.most = uses
        return 0

    cdef uint32_t quit(self, Note* note) noexcept:
        """Take an entry out of its group; returns its uses, 0 when it is in none."""
        cdef Group* group
        if note == NULL or not note.stamp & STAMP_TOP:
            return 0
        group = &self.groups[note.number]
        group.live -= 1
        note.stamp &= TWIN
        if group.live == 0:
            self.counts_used -= note.number > 1
            self.blocks -= group.log.blocks
            log_free(&group.log)
            while self.least < self.most and self.groups[self.least].live == 0:
                self.least += 1
            while self.most > self.least and self.groups[self.most].live == 0:
                self.most -= 1
        return note.number

    def push(self, Entry entry not None):
        cdef uint32_t code = self.table.code_of(entry)
        cdef Note* note
        if entry.marks >> 2 == self.number:
            self.quit(self.table.note_of(entry, code))
        self.table.move(entry, self.number)
        note = self.table.note_of(entry, code)
        if note == NULL:
            raise ValueError("the entry is in another table")
        self.place(note, code, 1)

    def use(self, Entry entry not None):
        cdef uint32_t code, uses
        cdef Note* note
        if entry.marks >> 2 != self.number:
            return
        code = self.table.code_of(entry)
        note = self.table.note_of(entry, code)
        uses = self.quit(note)
        if uses == 0:
            return
        self.place(note, code, uses + 1 if uses < COUNT_MAX else uses)
        self.seen += 1
        if self.halve_every and self.seen >= self.halve_every * max(64, self.table.tally_counts[self.number]):
            self.halve()

    cdef void halve(self) noexcept:
        cdef CompiledTable table = self.table
        cdef uint32_t uses, into
        cdef size_t i
        self.seen = 0
        for uses in range(2, self.most + 1):
            if self.groups[uses].live:
                into = uses // 2
                log_concat(&self.groups[into].log, &self.groups[uses].log)
                self.counts_used -= self.groups[into].live > 0 or into == 1
                self.groups[into].live += self.groups[uses].live
                self.groups[uses].live = 0
        for i in range(table.mask + 1):
            if i + AHEAD <= table.mask and table.note_at(i + AHEAD).stamp & STAMP_TOP:
                rd_prefetch(<char*>table.cells[i + AHEAD] + 56)
            if table.note_at(i).stamp & STAMP_TOP and (<Entry>table.cells[i]).marks >> 2 == self.number:
                table.note_at(i).number = max(<uint32_t>1, table.note_at(i).number // 2)
        self.least = max(<uint32_t>1, self.least // 2)
        self.most = max(<uint32_t>1, self.most // 2)

    def leave(self, Entry entry not None):
        if entry.marks >> 2 == self.number:
            self.quit(self.table.note_of(entry, self.table.code_of(entry)))

    def defer(self, Entry entry not None):
        cdef uint32_t code
        cdef Note* note
        if entry.marks >> 2 == self.number:
            code = self.table.code_of(entry)
            note = self.table.note_of(entry, code)
            if self.quit(note):
                self.place(note, code, self.most if self.groups[self.most].live else 1)

    def worst(self):
        cdef Group* group
        cdef int64_t cell
        if self.room == 0 or self.groups[self.least].live == 0:
            return None
        group = &self.groups[self.least]
        self.blocks -= group.log.blocks
        cell = self.table.first_in(&group.log)
        self.blocks += group.log.blocks
        return None if cell < 0 else <Entry>self.table.cells[cell]
