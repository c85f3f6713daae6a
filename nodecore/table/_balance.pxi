# ARC's two queues and their memories, compiled: what `plain_balance` does. One look at a key serves
# both memories, whose cells are fetched together.


@cython.final
@cython.no_gc_clear
cdef class CompiledBalance:
    cdef CompiledTable table
    cdef CompiledQueue recent
    cdef CompiledOrder frequent
    cdef CompiledMemory left_recent, left_frequent
    cdef bytes arriving
    cdef uint32_t arriving_code
    cdef bint returns, returns_to_frequent, forgets_victim
    cdef int64_t limit
    cdef double target
    cdef WaitingUses waiting

    def __init__(self):
        raise TypeError("orders are made by their table")

    def __dealloc__(self):
        drop_waiting(&self.waiting)

    @property
    def bytes_per_entry(self):
        return ORDERED_BYTES

    @property
    def overhead_bytes(self):
        cdef int64_t entries = self.table.tally_counts[self.recent.number] + self.table.tally_counts[self.frequent.number]
        return ORDERED_BYTES * entries + MEMORY_BYTES * (self.left_recent.count + self.left_frequent.count)

    cdef inline int settle(self) except -1:
        """Count what waits."""
        return self.count_waiting() if self.waiting.count else 0

    cdef int count_waiting(self) except -1:
        cdef int i
        try:
            for i in range(self.waiting.count):
                self.frequent.use(<Entry>self.waiting.uses[i].entry, self.waiting.uses[i].code)
        finally:
            drop_waiting(&self.waiting)
        return 0

    def expect(self, bytes key not None):
        self.settle()
        self.arrive(key)

    cdef void arrive(self, bytes key) noexcept:
        cdef CompiledMemory recent = self.left_recent, frequent = self.left_frequent
        cdef uint32_t code = print_of_key(key)
        cdef int64_t used, held
        cdef bint to_recent
        rd_prefetch(recent.cells + (code & recent.mask))
        rd_prefetch(frequent.cells + (code & frequent.mask))
        self.arriving, self.arriving_code = key, code
        self.forgets_victim = False
        used = self.table.tally_bytes[self.recent.number]
        to_recent = recent.cell_of(code) >= 0
        self.returns_to_frequent = not to_recent and frequent.cell_of(code) >= 0
        self.returns = to_recent or self.returns_to_frequent
        if self.returns:
            self.regret()
        elif used + recent.total >= self.limit:
            # The first queue fills its share alone: what leaves it now is not worth remembering.
            self.forgets_victim = used >= self.limit
            recent.drop(self.limit - used - 1, recent.count)
        else:
            held = used + self.table.tally_bytes[self.frequent.number] + recent.total
            frequent.drop(2 * self.limit - held - 1, frequent.count)

    cdef void regret(self) noexcept:
        """Move the target towards the queue that was too short, by the sizes of both memories."""
        cdef double recent = <double>self.left_recent.total, frequent = <double>self.left_frequent.total
        cdef double mean = <double>max(1, self.table.bytes_used // max(1, self.table.count))
        if self.returns_to_frequent:
            self.target = max(0.0, self.target - max(1.0, recent / max(1.0, frequent)) * mean)
        else:
            self.target = min(<double>self.limit, self.target + max(1.0, frequent / max(1.0, recent)) * mean)

    def push(self, Entry entry not None):
        self.settle()
        if self.arriving is None or (self.arriving is not entry.key and self.arriving != entry.key):
            self.arrive(entry.key)
        self.arriving = None
        self.forgets_victim = False
        if self.returns:
            self.left_recent.forget(self.arriving_code)
            self.left_frequent.forget(self.arriving_code)
            self.frequent.join(entry)
        else:
            self.recent.push(entry)

    def touch(self, Entry entry not None):
        if let_wait(&self.waiting, entry, self.table.code_of(entry), 0):
            self.settle()

    def victim(self):
        self.settle()
        cdef CompiledTable table = self.table
        cdef double used = <double>table.tally_bytes[self.recent.number]
        cdef bint returns = self.arriving is not None and self.returns_to_frequent
        cdef bint wanted = self.forgets_victim or used > self.target or (returns and used == self.target)
        cdef PyObject* found
        cdef int64_t cell
        if table.tally_counts[self.recent.number] and (wanted or not table.tally_counts[self.frequent.number]):
            found = self.recent.take()
            if found == NULL:
                return None
            entry = <Entry>found
            Py_DECREF(entry)
            return entry
        cell = self.frequent.first()
        return None if cell < 0 else <Entry>table.cells[cell]

    def evicted(self, Entry entry not None):
        cdef CompiledMemory memory = self.left_frequent
        self.settle()
        if entry.marks >> 2 == self.recent.number:
            if self.forgets_victim:
                return
            memory = self.left_recent
        memory.remember(print_of_key(entry.key), size_of(entry), self.limit, self.table.count // 2 + 16)

    def spared(self, Entry entry not None):
        self.settle()
        if entry.marks >> 2 == self.recent.number:
            self.recent.append(entry)
        else:
            self.frequent.use(entry, self.table.code_of(entry))
