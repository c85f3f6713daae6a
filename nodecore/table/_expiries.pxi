# The order by expiry, compiled: a heap of (expiry, hash, stamp) with four children to a parent, and a log
# of what never expires. A record is stale when the entry's note has another stamp.

cdef struct Expiring:
    int64_t expires_ms
    uint32_t code
    uint32_t stamp


cdef int64_t EXPIRING_BYTES = 60  # at most: two records, one a half in spare, and the note, less 9


cdef inline bint sooner(Expiring* one, Expiring* other) noexcept:
    return one.expires_ms < other.expires_ms or (one.expires_ms == other.expires_ms and one.stamp < other.stamp)


@cython.final
@cython.no_gc_clear
cdef class CompiledExpiries:
    cdef CompiledTable table
    cdef Expiring* heap
    cdef int64_t used, room
    cdef Log never
    cdef int number

    @property
    def bytes_per_entry(self):
        return EXPIRING_BYTES

    def __init__(self):
        raise TypeError("orders are made by their table")

    def __dealloc__(self):
        free(self.heap)
        log_free(&self.never)
        if self.table is not None:
            self.table.drop_notes()

    def __len__(self):
        return self.table.tally_counts[self.number]

    @property
    def overhead_bytes(self):
        return EXPIRING_BYTES * self.table.tally_counts[self.number]

    @property
    def allocated_bytes(self):
        return log_bytes(&self.never) + self.room * <int64_t>sizeof(Expiring)

    cdef void sink(self, int64_t at, Expiring item) noexcept:
        """Put an item where its children are not sooner, from a free place on downwards."""
        cdef int64_t child, best
        while True:
            child = 4 * at + 1
            if child >= self.used:
                break
            best = child
            for child in range(child + 1, min(child + 4, self.used)):
                if sooner(&self.heap[child], &self.heap[best]):
                    best = child
            if not sooner(&self.heap[best], &item):
                break
            self.heap[at] = self.heap[best]
            at = best
        self.heap[at] = item

    cdef void pack(self) noexcept:
        cdef int64_t i, into = 0
        for i in range(self.used):
            if i + AHEAD < self.used:
                self.table.fetch_note(self.heap[i + AHEAD].code)
            self.heap[into] = self.heap[i]
            into += self.table.cell_of_stamp(self.heap[i].code, self.heap[i].stamp) >= 0
        self.used = into
        for i in range((into + 2) // 4, -1, -1):
            if i < into:
                self.sink(i, self.heap[i])

    cdef int enter(self, Entry entry, uint32_t code, bint last) except -1:
        cdef CompiledTable table = self.table
        cdef Note* note = table.note_of(entry, code)
        cdef Expiring* heap
        cdef Expiring item
        cdef int64_t at, room, count = table.tally_counts[self.number]
        if note == NULL:
            raise ValueError("the entry is in another table")
        table.stamp_note(note)
        note.number = mark_of(entry.expires_ms)
        if last:
            log_push(&self.never, record_of(code, note.stamp & STAMP_TOP))
            if self.never.length > 3 * count + LOG_SLACK:
                log_pack(&self.never, <void*>table, stamp_lives, fetch_stamp)
            return 0
        if self.used == self.room:
            room = self.room + self.room // 2 + 64
            heap = <Expiring*>realloc(self.heap, room * sizeof(Expiring))
            if heap == NULL:
                raise MemoryError()
            self.heap, self.room = heap, room
        item.expires_ms, item.code, item.stamp = entry.expires_ms, code, note.stamp & STAMP_TOP
        at = self.used
        self.used += 1
        while at and sooner(&item, &self.heap[(at - 1) // 4]):
            self.heap[at] = self.heap[(at - 1) // 4]
            at = (at - 1) // 4
        self.heap[at] = item
        if self.used > 2 * count + LOG_SLACK:
            self.pack()
        return 0

    def push(self, Entry entry not None):
        self.table.move(entry, self.number)
        self.enter(entry, self.table.code_of(entry), entry.expires_ms == 0)

    def review(self, Entry entry not None):
        cdef uint32_t code
        cdef Note* note
        if entry.marks >> 2 != self.number:
            return
        code = self.table.code_of(entry)
        note = self.table.note_of(entry, code)
        if note != NULL and note.number != mark_of(entry.expires_ms):
            self.enter(entry, code, entry.expires_ms == 0)

    def defer(self, Entry entry not None):
        if entry.marks >> 2 == self.number:
            self.enter(entry, self.table.code_of(entry), True)

    def leave(self, Entry entry not None):
        cdef Note* note
        if entry.marks >> 2 == self.number:
            note = self.table.note_of(entry, self.table.code_of(entry))
            if note != NULL:
                note.stamp &= TWIN

    def worst(self):
        cdef CompiledTable table = self.table
        cdef int64_t cell
        while self.used:
            cell = table.cell_of_stamp(self.heap[0].code, self.heap[0].stamp)
            if cell >= 0:
                return <Entry>table.cells[cell]
            self.used -= 1
            if self.used:
                self.sink(0, self.heap[self.used])
        cell = table.first_in(&self.never)
        return None if cell < 0 else <Entry>table.cells[cell]


cdef inline uint32_t mark_of(int64_t expires_ms) noexcept:
    """Tells changes of an expiry, except by exactly so many times 49.7 days."""
    cdef uint32_t mark = <uint32_t>expires_ms
    return 1 if expires_ms and not mark else mark
