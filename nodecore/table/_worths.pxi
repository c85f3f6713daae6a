# GDSF's order, compiled: what `plain_worths` does. A class holds entries of about the same uses by size;
# as the floor never falls, the one that was touched longest ago is worth least of them.


cdef enum:
    PAGES = 32
    CLASSES_PER_PAGE = 16
    DEFERRED = 511
    PARTS_PER_OCTAVE = 8
    LEAST_EXPONENT = 40


cdef struct WorthClass:
    Log log
    int64_t live
    uint32_t stamp  # of the oldest, 0: not known
    double worth


cdef inline uint32_t class_of(double ratio) noexcept:
    """The part of an octave that uses by size falls into: exponent and first bits of the mantissa."""
    cdef uint64_t bits
    memcpy(&bits, &ratio, sizeof(bits))
    return <uint32_t>(bits >> 49) - (1022 - LEAST_EXPONENT) * PARTS_PER_OCTAVE


@cython.final
@cython.no_gc_clear
cdef class CompiledWorths:
    cdef CompiledTable table
    cdef WorthClass* pages[32]  # made when a class of theirs is first used
    cdef int64_t counts[32]  # entries in the classes of a page
    cdef int64_t pages_made
    cdef int number
    cdef double floor, highest
    cdef int64_t blocks
    cdef WaitingUses waiting

    @property
    def bytes_per_entry(self):
        return ORDERED_BYTES + 16

    def __init__(self):
        raise TypeError("orders are made by their table")

    def __dealloc__(self):
        cdef int page, i
        drop_waiting(&self.waiting)
        for page in range(PAGES):
            if self.pages[page] != NULL:
                for i in range(CLASSES_PER_PAGE):
                    log_free(&self.pages[page][i].log)
                free(self.pages[page])
        if self.table is not None:
            self.table.drop_worths()
            self.table.drop_notes()

    def __len__(self):
        return self.table.tally_counts[self.number]

    @property
    def overhead_bytes(self):
        return (
            (ORDERED_BYTES + 16) * self.table.tally_counts[self.number]
            + self.pages_made * <int64_t>(CLASSES_PER_PAGE * sizeof(WorthClass))
        )

    @property
    def allocated_bytes(self):
        return self.blocks * <int64_t>sizeof(Block) + self.pages_made * <int64_t>(CLASSES_PER_PAGE * sizeof(WorthClass))

    cdef int place(self, int64_t cell, uint32_t code, uint32_t uses, uint32_t part, double worth) except -1:
        cdef CompiledTable table = self.table
        cdef int page = part // CLASSES_PER_PAGE
        cdef WorthClass* held
        cdef Note* note = table.note_at(<size_t>cell)
        if self.pages[page] == NULL:
            self.pages[page] = <WorthClass*>calloc(CLASSES_PER_PAGE, sizeof(WorthClass))
            if self.pages[page] == NULL:
                raise MemoryError()
            self.pages_made += 1
        held = &self.pages[page][part % CLASSES_PER_PAGE]
        table.stamp_note(note)
        note.number = uses << 16 | part
        (<WorthNote*>table.note_at(<size_t>cell)).worth = worth
        if worth > self.highest:
            self.highest = worth
        held.live += 1
        self.counts[page] += 1
        self.blocks -= held.log.blocks
        log_push(&held.log, record_of(code, note.stamp & STAMP_TOP))
        if held.log.length > 3 * held.live + LOG_SLACK:
            log_pack(&held.log, <void*>table, stamp_lives, fetch_stamp)
        self.blocks += held.log.blocks
        return 0

    cdef uint32_t quit(self, int64_t cell) noexcept:
        """Take an entry out of its class; returns its uses, 0 when it is in none."""
        cdef Note* note
        cdef WorthClass* held
        cdef uint32_t part
        if cell < 0:
            return 0
        note = self.table.note_at(<size_t>cell)
        if not note.stamp & STAMP_TOP:
            return 0
        part = note.number & 0xFFFF
        held = &self.pages[part // CLASSES_PER_PAGE][part % CLASSES_PER_PAGE]
        if held.stamp == note.stamp & STAMP_TOP:
            held.stamp = 0
        note.stamp &= TWIN
        held.live -= 1
        self.counts[part // CLASSES_PER_PAGE] -= 1
        if held.live == 0:
            self.blocks -= held.log.blocks
            log_free(&held.log)
        return note.number >> 16

    def push(self, Entry entry not None):
        self.settle()
        cdef uint32_t code = self.table.code_of(entry)
        cdef int64_t cell = self.table.cell_index(entry, code)
        cdef double ratio = 1 / <double>max(1, size_of(entry))
        if entry.marks >> 2 == self.number:
            self.quit(cell)
        self.table.move(entry, self.number)
        if cell < 0:
            raise ValueError("the entry is in another table")
        self.place(cell, code, 1, class_of(ratio), self.floor + ratio)

    def use(self, Entry entry not None):
        if entry.marks >> 2 != self.number:
            return
        if let_wait(&self.waiting, entry, self.table.code_of(entry), 0):
            self.settle()

    cdef int count(self, WaitingUse* use) except -1:
        cdef Entry entry = <Entry>use.entry
        cdef int64_t cell
        cdef uint32_t uses
        cdef double ratio
        if entry.marks >> 2 != self.number:
            return 0
        cell = self.table.cell_index(entry, use.code)
        uses = self.quit(cell)
        if uses == 0:
            return 0
        if uses < COUNT_MAX:
            uses += 1
        ratio = uses / <double>max(1, size_of(entry))
        return self.place(cell, use.code, uses, class_of(ratio), self.floor + ratio)

    cdef inline int settle(self) except -1:
        """Count what waits."""
        return self.count_waiting() if self.waiting.count else 0

    cdef int count_waiting(self) except -1:
        cdef int i
        try:
            for i in range(self.waiting.count):
                self.count(&self.waiting.uses[i])
        finally:
            drop_waiting(&self.waiting)
        return 0

    def defer(self, Entry entry not None):
        cdef uint32_t code, uses
        cdef int64_t cell
        self.settle()
        if entry.marks >> 2 == self.number:
            code = self.table.code_of(entry)
            cell = self.table.cell_index(entry, code)
            uses = self.quit(cell)
            if uses:
                self.place(cell, code, uses, DEFERRED, self.highest)

    def leave(self, Entry entry not None):
        self.settle()
        if entry.marks >> 2 == self.number:
            self.quit(self.table.cell_index(entry, self.table.code_of(entry)))

    def evicted(self, Entry entry not None):
        cdef int64_t cell
        self.settle()
        if entry.marks >> 2 == self.number:
            cell = self.table.cell_index(entry, self.table.code_of(entry))
            if cell >= 0 and self.table.note_at(<size_t>cell).number & 0xFFFF != DEFERRED:
                self.floor = max(self.floor, (<WorthNote*>self.table.note_at(<size_t>cell)).worth)
            self.quit(cell)

    cdef int64_t first_of(self, WorthClass* held) noexcept:
        """The cell of the oldest of a class."""
        cdef int64_t cell
        self.blocks -= held.log.blocks
        cell = self.table.first_in(&held.log)
        self.blocks += held.log.blocks
        return cell

    cdef void judge(self, WorthClass* held, WorthClass** least) noexcept:
        """Let a class be the least one if its oldest is worth less."""
        cdef int64_t cell
        if held.stamp == 0:
            cell = self.first_of(held)
            if cell < 0:
                return
            held.stamp = self.table.note_at(<size_t>cell).stamp & STAMP_TOP
            held.worth = (<WorthNote*>self.table.note_at(<size_t>cell)).worth
        if least[0] == NULL or held.worth < least[0].worth:
            least[0] = held

    def worst(self):
        cdef WorthClass* least = NULL
        cdef int64_t cell
        cdef int page, i
        self.settle()
        for page in range(PAGES):
            if self.counts[page]:
                for i in range(CLASSES_PER_PAGE):
                    if self.pages[page][i].live:
                        self.judge(&self.pages[page][i], &least)
        if least == NULL:
            return None
        cell = self.first_of(least)
        return None if cell < 0 else <Entry>self.table.cells[cell]
