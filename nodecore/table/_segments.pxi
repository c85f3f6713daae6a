# A window beside a segmented order, whose uses a sketch counts: what `plain_segments` does. The notes of
# its entries keep the prints of their keys, by which the sketch knows them.


@cython.final
@cython.no_gc_clear
cdef class CompiledSegments:
    cdef CompiledTable table
    cdef CompiledOrder window, probation, protected
    cdef readonly CompiledSketch sketch
    cdef bint in_objects
    cdef public int64_t window_max, protected_max
    cdef int64_t uses
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
        orders = self.window.overhead_bytes + self.probation.overhead_bytes + self.protected.overhead_bytes
        return orders + self.sketch.overhead_bytes

    cdef inline int64_t size(self, CompiledOrder order) noexcept:
        cdef CompiledTable table = self.table
        return table.tally_counts[order.number] if self.in_objects else table.tally_bytes[order.number]

    cdef inline int demote(self, size_t cell) except -1:
        """Let the entry in this cell go on probation."""
        self.table.move_at(self.table.cells[cell], self.probation.number)
        return self.probation.append_at(cell)

    cdef int overflow(self, CompiledOrder order, int64_t most, Entry spared) except -1:
        """Let the oldest of an order go on probation until the rest fits."""
        cdef int64_t cell
        while self.size(order) > most:
            cell = order.first()
            if cell < 0 or self.table.cells[cell] == <PyObject*>spared:
                break
            self.demote(<size_t>cell)
        return 0

    def push(self, Entry entry not None):
        self.settle()
        cdef CompiledTable table = self.table
        cdef uint32_t key_code = print_of_key(entry.key)
        cdef size_t cell
        self.sketch.fetch(key_code)
        table.move(entry, self.window.number)
        cell = <size_t>self.window.cell_of(entry, table.code_of(entry))
        table.note_at(cell).number = key_code
        self.window.append_at(cell)
        self.sketch.count(key_code)
        self.overflow(self.window, self.window_max, entry)
        self.fetch_counts(self.window)
        self.fetch_counts(self.probation)

    cdef void fetch_counts(self, CompiledOrder order) noexcept:
        """Of the entry that the next contest will most likely look at."""
        cdef int64_t cell = order.first()
        if cell >= 0:
            self.sketch.fetch(self.table.note_at(<size_t>cell).number)

    cdef inline uint32_t print_of(self, Entry entry, uint32_t code) noexcept:
        """The print of an entry's key: of entries in these queues the notes keep it."""
        cdef int queue = entry.marks >> 2
        cdef int64_t cell
        if queue == self.protected.number or queue == self.probation.number or queue == self.window.number:
            cell = self.table.cell_index(entry, code)
            if cell >= 0:
                return self.table.note_at(<size_t>cell).number
        return print_of_key(entry.key)

    def touch(self, Entry entry not None):
        cdef uint32_t code = self.table.code_of(entry), key_code = self.print_of(entry, code)
        self.uses += 1
        self.sketch.fetch(key_code)
        if let_wait(&self.waiting, entry, code, key_code):
            self.settle()

    cdef int count(self, WaitingUse* use) except -1:
        cdef Entry entry = <Entry>use.entry
        cdef int queue = entry.marks >> 2
        self.sketch.count(use.key_code)
        if queue == self.protected.number:
            self.protected.use(entry, use.code)
        elif queue == self.window.number:
            self.window.use(entry, use.code)
        elif queue == self.probation.number:
            self.table.move(entry, self.protected.number)
            self.protected.use(entry, use.code)
        return 0

    cdef inline int settle(self) except -1:
        """Count what waits."""
        return self.count_waiting() if self.waiting.count else 0

    cdef int count_waiting(self) except -1:
        cdef int i
        try:
            for i in range(self.waiting.count):
                self.count(&self.waiting.uses[i])
            return self.overflow(self.protected, self.protected_max, <Entry>self.waiting.uses[self.waiting.count - 1].entry)
        finally:
            drop_waiting(&self.waiting)

    def victim(self, int often, lets_in not None):
        self.settle()
        cdef CompiledTable table = self.table
        cdef int64_t settled = self.probation.first(), candidate = self.window.first()
        if settled < 0:
            settled = self.protected.first()
        if settled < 0 or candidate < 0:
            settled = max(settled, candidate)
            return None if settled < 0 else <Entry>table.cells[settled]
        if self.size(self.window) >= self.window_max:
            if not self.admits(table.note_at(<size_t>candidate).number, table.note_at(<size_t>settled).number, often, lets_in):
                return <Entry>table.cells[candidate]
            self.demote(<size_t>candidate)
        return <Entry>table.cells[settled]

    cdef bint admits(self, uint32_t candidate, uint32_t settled, int often, lets_in) except -1:
        """Both by the prints of their keys."""
        self.sketch.fetch(settled)
        cdef int asked = self.sketch.uses(candidate)
        if asked - 1 > self.sketch.uses(settled):
            return True
        return asked >= often and lets_in()

    def spared(self, Entry entry not None):
        self.settle()
        cdef uint32_t code = self.table.code_of(entry)
        self.window.use(entry, code)
        self.probation.use(entry, code)
        self.protected.use(entry, code)

    def take_uses(self):
        cdef int64_t uses = self.uses
        self.uses = 0
        return uses
