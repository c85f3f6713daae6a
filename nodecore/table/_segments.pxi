# A window beside a segmented order, whose uses a sketch counts: what `plain_segments` does.


@cython.final
@cython.no_gc_clear
cdef class CompiledSegments:
    cdef readonly CompiledOrder window, probation, protected
    cdef readonly CompiledSketch sketch
    cdef bint in_objects
    cdef public int64_t window_max, protected_max
    cdef int64_t uses

    def __init__(self):
        raise TypeError("orders are made by their table")

    @property
    def bytes_per_entry(self):
        return ORDERED_BYTES

    @property
    def overhead_bytes(self):
        orders = self.window.overhead_bytes + self.probation.overhead_bytes + self.protected.overhead_bytes
        return orders + self.sketch.overhead_bytes

    cdef inline int64_t size(self, CompiledOrder order) noexcept:
        cdef CompiledTable table = order.table
        return table.tally_counts[order.number] if self.in_objects else table.tally_bytes[order.number]

    cdef int overflow(self, CompiledOrder order, int64_t most, Entry spared) except -1:
        """Let the oldest of an order go on probation until the rest fits."""
        cdef PyObject* oldest
        while self.size(order) > most:
            oldest = order.first()
            if oldest == NULL or oldest == <PyObject*>spared:
                break
            self.probation.table.move(<Entry>oldest, self.probation.number)
            self.probation.append(<Entry>oldest)
        return 0

    def push(self, Entry entry not None):
        self.window.table.move(entry, self.window.number)
        self.sketch.count(entry.key)
        self.window.append(entry)
        self.overflow(self.window, self.window_max, entry)

    def touch(self, Entry entry not None):
        cdef int queue = entry.marks >> 2
        self.uses += 1
        self.sketch.count(entry.key)
        if queue == self.window.number:
            self.window.append(entry)
        elif queue == self.protected.number:
            self.protected.append(entry)
        elif queue == self.probation.number:
            self.protected.table.move(entry, self.protected.number)
            self.protected.append(entry)
            self.overflow(self.protected, self.protected_max, entry)

    def take_uses(self):
        cdef int64_t uses = self.uses
        self.uses = 0
        return uses
