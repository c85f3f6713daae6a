# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, binding=False, always_allow_keywords=False
"""The table, compiled: same interface and same answers as ``reference``.

Entries hang in an open-addressing hash table of our own (32-bit hashes beside pointers, linear
probing, backward shift on removal), so that a read needs no key object and the collector has nothing
to walk. The slot index is an array of borrowed entry pointers per slot; a removed entry leaves a
hole, and an array that is half holes is packed. Orders of eviction policies keep a note beside each
cell, while there are any (see ``_orders.pxi``). It decides nothing that the reference does not.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject_Hash
from cpython.list cimport PyList_Append, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset

from nodecore.ids import SLOTS_COUNT
from nodecore.limits import KEY_BYTES_MAX, TOUCHES_MAX, VALUE_BYTES_MAX
from nodecore.table.interface import BANDS_COUNT, ENTRY_OVERHEAD_BYTES, HLC_MAX, MULTI_GET_BYTES_MAX, SERVE_BYTES_MAX
from nodecore.table.key_counts import weight_of
from nodecore.table.orders import USES_MAX, USES_WAITING_MAX
from nodecore.table.tie import tie_wins

cdef enum:
    SLOTS = 16384
    QUEUES = 64
    BANDS = 128
    SLOTS_PER_BAND = SLOTS // BANDS
    TOMBSTONES = 63
    READ = 1
    SOLE = 2
    WRITE = 8
    CELLS_MIN = 64
    OUT_BYTES_KEPT = 4194304


def agree(str name, compiled, figure):
    """Not an assertion: whoever has not built anew since the figure changed goes on without the table."""
    if compiled != figure:
        raise ImportError(f"it is older than the program: {name} was {compiled}, and is {figure}")


agree("SLOTS_COUNT", SLOTS, SLOTS_COUNT)
agree("BANDS_COUNT", BANDS, BANDS_COUNT)

cdef Py_ssize_t OVERHEAD = ENTRY_OVERHEAD_BYTES
cdef Py_ssize_t KEY_MAX = KEY_BYTES_MAX
cdef Py_ssize_t VALUE_MAX = VALUE_BYTES_MAX
cdef Py_ssize_t SERVE_MAX = SERVE_BYTES_MAX
cdef Py_ssize_t MULTI_GET_MAX = MULTI_GET_BYTES_MAX
cdef int64_t HLC_TOP = HLC_MAX
cdef int64_t INT64_TOP = 0x7FFFFFFFFFFFFFFF

include "_arrays.pxi"
include "_hashing.pxi"
include "_entry.pxi"
include "_blocks.pxi"
include "_filter.pxi"
include "_counts.pxi"


cdef struct SlotIndex:
    PyObject** items  # borrowed
    uint32_t used
    uint32_t room
    uint32_t count
    uint32_t tombstones


cdef enum:
    TWIN = 0x80000000
    STAMP_TOP = 0x7FFFFFFF

cdef struct Note:
    uint32_t stamp  # of the entry's last record in an order; 0: in none; with TWIN: hashes as another entry does
    uint32_t number  # what the order counts

cdef struct WorthNote:
    Note note
    double worth

cdef enum:
    NOTE_SHIFT = 3  # log2 of a note's bytes,
    WORTH_NOTE_SHIFT = 4  # and where it has a worth as well: one line of the processor's cache has both
assert sizeof(Note) == 1 << NOTE_SHIFT and sizeof(WorthNote) == 1 << WORTH_NOTE_SHIFT


cdef inline int64_t ranged(str name, int64_t number, int64_t maximum) except -1:
    if number < 0 or number > maximum:
        raise ValueError(f"{name} must be in 0..{maximum}, not {number}")
    return number


cdef inline Py_ssize_t bulk_length(const char* data, Py_ssize_t* at, Py_ssize_t end, Py_ssize_t most) noexcept:
    """Read ``$n\\r\\n`` at ``at[0]`` and check that n bytes and a line end follow; -1 for any doubt."""
    cdef Py_ssize_t i = at[0], length = 0, digits = 0
    if i >= end or data[i] != 36:
        return -1
    i += 1
    while i < end and 48 <= data[i] <= 57:
        length = length * 10 + (data[i] - 48)
        digits += 1
        if digits > 7:
            return -1
        i += 1
    if digits == 0 or (digits > 1 and data[i - digits] == 48) or length > most:
        return -1
    if i + 2 + length + 2 > end or data[i] != 13 or data[i + 1] != 10:
        return -1
    i += 2
    if data[i + length] != 13 or data[i + length + 1] != 10:
        return -1
    at[0] = i
    return length


cdef class CompiledQueue
cdef class CompiledRing
cdef class CompiledOrder
cdef class CompiledUses
cdef class CompiledWorths
cdef class CompiledExpiries
cdef class CompiledGhosts
cdef class CompiledMemory
cdef class CompiledSketch
cdef class CompiledSegments
cdef class CompiledBalance


@cython.final
cdef class CompiledTable:
    cdef PyObject** cells
    cdef uint32_t* hashes
    cdef char* notes  # beside the cells while an order needs them, else NULL
    cdef int note_shift
    cdef int64_t notes_wanted, worths_wanted
    cdef uint32_t stamp
    cdef size_t found  # where a look-up ended last
    cdef size_t mask
    cdef Py_ssize_t count
    cdef SlotIndex* slots
    cdef uint64_t k0, k1
    cdef bytes flags_held
    cdef int hit_bits
    cdef const unsigned char* flags
    cdef bytes groups_held
    cdef Py_ssize_t groups_count
    cdef tuple prefixes
    cdef bint guard_open
    cdef uint32_t _generation
    cdef int64_t tally_bytes[QUEUES]
    cdef int64_t tally_counts[QUEUES]
    cdef int64_t band_counts[BANDS]
    cdef char* out
    cdef Py_ssize_t out_used, out_room
    cdef list _touched, _written
    cdef public list inserted, superseded, expiring, older
    cdef public bint lists_superseded
    cdef public int64_t touches_lost, touches_max, writes_lost
    cdef public int64_t gate_reads, gate_hits, gate_writes
    cdef public int64_t bytes_used, inline_bytes_max
    cdef public int64_t hlc_high
    cdef public uint32_t node_tag

    compiled = True

    def __cinit__(self):
        self.cells = <PyObject**>rd_array(CELLS_MIN * sizeof(PyObject*))
        self.hashes = <uint32_t*>rd_array(CELLS_MIN * sizeof(uint32_t))
        self.slots = <SlotIndex*>calloc(SLOTS, sizeof(SlotIndex))
        self.out_room = 65536
        self.out = <char*>malloc(self.out_room)
        if self.cells == NULL or self.hashes == NULL or self.slots == NULL or self.out == NULL:
            raise MemoryError()
        self.mask = CELLS_MIN - 1
        # The interpreter's own secret, drawn at its start.
        self.k0 = <uint64_t>hash(b"ringdeck cells, first half")
        self.k1 = <uint64_t>hash(b"ringdeck cells, second half")
        self.flags_held = bytes(SLOTS)
        self.flags = <const unsigned char*>PyBytes_AS_STRING(self.flags_held)
        self.prefixes = ()
        self.guard_open = True
        self._touched, self._written = [], []
        self.inserted, self.superseded, self.expiring, self.older = [], [], [], []
        self.touches_max = TOUCHES_MAX
        self.inline_bytes_max = INT64_TOP

    def __dealloc__(self):
        cdef size_t i
        if self.cells != NULL and self.hashes != NULL:
            for i in range(self.mask + 1):
                if self.hashes[i]:
                    (<Entry>self.cells[i]).position = DETACHED
                    Py_DECREF(<object>self.cells[i])
        self.drop_cells()
        if self.slots != NULL:
            for i in range(<size_t>SLOTS):
                free(self.slots[i].items)
        free(self.slots)
        free(self.out)

    def __len__(self):
        return self.count

    def __contains__(self, bytes key not None):
        return self.find(key) != NULL

    @property
    def generation(self):
        return self._generation

    @property
    def touched(self):
        return self._touched

    @touched.setter
    def touched(self, list keys not None):
        self._touched = keys

    @property
    def written(self):
        return self._written

    @written.setter
    def written(self, list keys not None):
        self._written = keys

    # -- hash cells

    cdef inline PyObject* find_text(self, const char* text, Py_ssize_t size) noexcept:
        cdef uint32_t code = rd_hash(text, size, self.k0, self.k1)
        cdef size_t i = code & self.mask
        cdef Entry entry
        while self.hashes[i]:
            if self.hashes[i] == code:
                if self.notes != NULL:
                    # A use of the entry will write there: fetched while the entry itself is.
                    rd_prefetch(self.note_at(i))
                entry = <Entry>self.cells[i]
                rd_prefetch(<char*><PyObject*>entry.reply + 16)
                if rd_length(<PyObject*>entry.key) == size and memcmp(rd_text(<PyObject*>entry.key), text, size) == 0:
                    self.found = i
                    return self.cells[i]
            i = (i + 1) & self.mask
        return NULL

    cdef inline PyObject* find(self, bytes key) noexcept:
        return self.find_text(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))

    cdef void drop_cells(self) noexcept:
        rd_drop_array(self.cells, (self.mask + 1) * sizeof(PyObject*))
        rd_drop_array(self.hashes, (self.mask + 1) * sizeof(uint32_t))
        rd_drop_array(self.notes, (self.mask + 1) << self.note_shift)

    cdef int grow(self) except -1:
        cdef size_t room = (self.mask + 1) * 2, i, j
        cdef PyObject** cells = <PyObject**>rd_array(room * sizeof(PyObject*))
        cdef uint32_t* hashes = <uint32_t*>rd_array(room * sizeof(uint32_t))
        cdef char* notes = NULL
        if self.notes != NULL:
            notes = <char*>rd_array(room << self.note_shift)
        if cells == NULL or hashes == NULL or (notes == NULL and self.notes != NULL):
            rd_drop_array(cells, room * sizeof(PyObject*))
            rd_drop_array(hashes, room * sizeof(uint32_t))
            rd_drop_array(notes, room << self.note_shift)
            raise MemoryError()
        for i in range(self.mask + 1):
            if self.hashes[i]:
                j = self.hashes[i] & (room - 1)
                while hashes[j]:
                    j = (j + 1) & (room - 1)
                hashes[j] = self.hashes[i]
                cells[j] = self.cells[i]
                if notes != NULL:
                    memcpy(notes + (j << self.note_shift), self.note_at(i), <size_t>1 << self.note_shift)
        self.drop_cells()
        self.cells, self.hashes, self.notes, self.mask = cells, hashes, notes, room - 1
        return 0

    cdef size_t cell_of(self, Entry entry) noexcept:
        """Position of an entry that is in the table."""
        cdef uint32_t code = rd_hash(PyBytes_AS_STRING(entry.key), PyBytes_GET_SIZE(entry.key), self.k0, self.k1)
        cdef size_t i = code & self.mask
        while self.cells[i] != <PyObject*>entry or not self.hashes[i]:
            i = (i + 1) & self.mask
        return i

    cdef void vacate(self, size_t hole) noexcept:
        """Empty a cell and close the gap, so that no probe sequence is broken."""
        cdef size_t i = hole, home
        while True:
            i = (i + 1) & self.mask
            if not self.hashes[i]:
                break
            home = self.hashes[i] & self.mask
            if ((i - home) & self.mask) >= ((i - hole) & self.mask):
                self.hashes[hole] = self.hashes[i]
                self.cells[hole] = self.cells[i]
                if self.notes != NULL:
                    memcpy(self.note_at(hole), self.note_at(i), <size_t>1 << self.note_shift)
                hole = i
        self.hashes[hole] = 0
        self.cells[hole] = NULL
        if self.notes != NULL:
            self.note_at(hole).stamp = 0

    # -- notes beside the cells, for orders

    cdef inline Note* note_at(self, size_t cell) noexcept:
        return <Note*>(self.notes + (cell << self.note_shift))

    cdef int want_notes(self) except -1:
        if self.notes == NULL:
            self.note_shift = NOTE_SHIFT
            self.notes = <char*>rd_array((self.mask + 1) << NOTE_SHIFT)
            if self.notes == NULL:
                raise MemoryError()
            self.note_twins()
        self.notes_wanted += 1
        return 0

    cdef int want_worths(self) except -1:
        """Notes come first."""
        if self.note_shift == NOTE_SHIFT and not self.reshape_notes(WORTH_NOTE_SHIFT):
            raise MemoryError()
        self.worths_wanted += 1
        return 0

    cdef void drop_worths(self) noexcept:
        self.worths_wanted -= 1
        if self.worths_wanted == 0:
            # Without memory they stay as wide as they are.
            self.reshape_notes(NOTE_SHIFT)

    cdef bint reshape_notes(self, int shift) noexcept:
        """Give notes another size; returns whether there was memory."""
        cdef char* notes = <char*>rd_array((self.mask + 1) << shift)
        cdef size_t i
        if notes == NULL:
            return False
        for i in range(self.mask + 1):
            memcpy(notes + (i << shift), self.note_at(i), sizeof(Note))
        rd_drop_array(self.notes, (self.mask + 1) << self.note_shift)
        self.notes, self.note_shift = notes, shift
        return True

    cdef void note_twins(self) noexcept:
        cdef size_t i, j
        for i in range(self.mask + 1):
            j = i
            while self.hashes[i] and self.hashes[j]:
                j = (j + 1) & self.mask
                if self.hashes[j] == self.hashes[i]:
                    self.note_at(i).stamp = self.note_at(j).stamp = TWIN

    cdef void drop_notes(self) noexcept:
        self.notes_wanted -= 1
        if self.notes_wanted == 0:
            rd_drop_array(self.notes, (self.mask + 1) << self.note_shift)
            self.notes = NULL

    cdef inline uint32_t code_of(self, Entry entry) noexcept:
        # An empty cell may hold anything.
        if self.found <= self.mask and self.hashes[self.found] and self.cells[self.found] == <PyObject*>entry:
            return self.hashes[self.found]
        return rd_hash(PyBytes_AS_STRING(entry.key), PyBytes_GET_SIZE(entry.key), self.k0, self.k1)

    cdef inline int64_t cell_index(self, Entry entry, uint32_t code) noexcept:
        """-1 when the entry is not in this table."""
        cdef size_t i = self.found
        if i <= self.mask and self.hashes[i] and self.cells[i] == <PyObject*>entry:
            return <int64_t>i
        i = code & self.mask
        while self.hashes[i]:
            if self.cells[i] == <PyObject*>entry:
                return <int64_t>i
            i = (i + 1) & self.mask
        return -1

    cdef inline Note* note_of(self, Entry entry, uint32_t code) noexcept:
        """NULL when the entry is not in this table."""
        cdef int64_t cell = self.cell_index(entry, code)
        return NULL if cell < 0 else self.note_at(<size_t>cell)

    cdef inline int64_t cell_of_stamp(self, uint32_t code, uint32_t stamp) noexcept:
        """-1 when no entry with that hash has that stamp."""
        cdef size_t i = code & self.mask
        while self.hashes[i]:
            if self.hashes[i] == code:
                if self.note_at(i).stamp & STAMP_TOP == stamp:
                    return <int64_t>i
                if not self.note_at(i).stamp & TWIN:
                    return -1
            i = (i + 1) & self.mask
        return -1

    cdef inline void stamp_note(self, Note* note) noexcept:
        self.stamp = self.stamp + 1 if self.stamp < STAMP_TOP else 1
        note.stamp = (note.stamp & TWIN) | self.stamp

    cdef inline void fetch_note(self, uint32_t code) noexcept:
        cdef size_t i = code & self.mask
        rd_prefetch(self.hashes + i)
        rd_prefetch(self.note_at(i))
        # Its cell may be a little further on, in the next line.
        rd_prefetch(self.note_at(i + 4))

    cdef inline void fetch_cell(self, uint32_t code) noexcept:
        self.fetch_note(code)
        rd_prefetch(self.cells + (code & self.mask))

    cdef inline int64_t cell_of_record(self, uint64_t record) noexcept:
        """Of an order; -1 when it is stale."""
        return self.cell_of_stamp(<uint32_t>(record >> 32), <uint32_t>record)

    cdef inline void fetch_coming(self, Block* block) noexcept:
        """The first record of an order has gone: each behind it moves up and fetches what it needs next."""
        cdef uint64_t record = log_ahead(block, AHEAD_FAR)
        cdef int64_t cell
        if record:
            self.fetch_cell(<uint32_t>(record >> 32))
        record = log_ahead(block, AHEAD)
        cell = self.cell_of_record(record) if record else -1
        if cell >= 0:
            fetch_entry(self.cells[cell])
        record = log_ahead(block, AHEAD_NEAR)
        cell = self.cell_of_record(record) if record else -1
        if cell >= 0:
            fetch_payload(self.cells[cell])

    cdef int64_t first_in(self, Log* log) noexcept:
        """The cell of the oldest record that lives, those before it dropped; -1 when none does."""
        cdef Block* block
        cdef int64_t cell
        while True:
            block = log_front(log)
            if block == NULL:
                return -1
            cell = self.cell_of_record(block.records[block.begin])
            if cell >= 0:
                return cell
            log_drop_front(log, block)
            self.fetch_coming(block)

    cdef inline int move(self, Entry entry, int queue) except -1:
        """As ``assign``, for an order that writes the entry's note next."""
        return self.move_at(<PyObject*>entry, queue)

    cdef int move_at(self, PyObject* at, int queue) except -1:
        """As ``move``, without counting a reference."""
        if (<Entry>at).position == DETACHED or (<Entry>at).kind == KIND_TOMBSTONE:
            raise ValueError("only a live entry of the table has a queue")
        cdef int old = (<Entry>at).marks >> 2
        cdef int64_t size
        if old != queue:
            size = size_at(at)
            self.tally_bytes[old] -= size
            self.tally_counts[old] -= 1
            self.tally_bytes[queue] += size
            self.tally_counts[queue] += 1
            (<Entry>at).marks = ((<Entry>at).marks & 3) | (queue << 2)
        return 0

    # -- entries

    cdef inline void tally(self, Entry entry, int sign) noexcept:
        cdef int64_t size = sign * size_of(entry)
        cdef int queue = entry.marks >> 2
        self.bytes_used += size
        self.tally_bytes[queue] += size
        self.tally_counts[queue] += sign
        if entry.kind == KIND_TOMBSTONE:
            self.slots[slot_in(entry)].tombstones += sign

    cdef Entry fresh(self, bytes key, unsigned int slot):
        """A new entry in cells and slot index, not tallied yet."""
        cdef SlotIndex* index = &self.slots[slot]
        cdef PyObject** items
        cdef uint32_t room
        cdef size_t i
        cdef uint32_t code
        cdef Entry entry = Entry.__new__(Entry)
        if (self.count + 1) * 5 > <Py_ssize_t>(self.mask + 1) * 4:
            self.grow()
        if index.used == index.room:
            room = index.room + index.room // 8 + 4
            items = <PyObject**>realloc(index.items, room * sizeof(PyObject*))
            if items == NULL:
                raise MemoryError()
            index.items, index.room = items, room
        entry.key, entry.reply, entry.slot_marks = key, NIL_REPLY, slot
        entry.kind = KIND_TOMBSTONE
        entry.position = index.used
        index.items[index.used] = <PyObject*>entry
        index.used += 1
        index.count += 1
        code = rd_hash(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), self.k0, self.k1)
        cdef uint32_t twin = 0
        i = code & self.mask
        while self.hashes[i]:
            if self.hashes[i] == code and self.notes != NULL:
                self.note_at(i).stamp |= TWIN
                twin = TWIN
            i = (i + 1) & self.mask
        self.hashes[i] = code
        self.cells[i] = <PyObject*>entry
        if self.notes != NULL:
            self.note_at(i).stamp = twin
        Py_INCREF(entry)
        self.count += 1
        return entry

    cdef Entry successor(self, Entry old):
        """A new entry in the place of one that turns from live to tombstone or back; detaches the old."""
        cdef Entry entry = Entry.__new__(Entry)
        cdef size_t i = self.cell_of(old)
        self.tally(old, -1)
        entry.key, entry.reply, entry.slot_marks = old.key, NIL_REPLY, slot_in(old)
        entry.kind = KIND_TOMBSTONE
        entry.position = old.position
        self.slots[slot_in(old)].items[old.position] = <PyObject*>entry
        self.cells[i] = <PyObject*>entry
        if self.notes != NULL:
            self.note_at(i).stamp &= TWIN
        Py_INCREF(entry)
        old.position, old.marks, old.generation = DETACHED, old.marks & 3, 0
        old.reply = NIL_REPLY
        Py_DECREF(old)
        return entry

    cdef Entry store(self, Entry entry, bytes key, uint8_t kind, bytes reply, int64_t hlc, uint32_t node, int64_t expires_ms):
        """Write a record; ``entry`` is what is there now or None."""
        if entry is None:
            entry = self.fresh(key, slot_of_text(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)))
            entry.marks = TOMBSTONES << 2 if kind == KIND_TOMBSTONE else 0
        elif (entry.kind == KIND_TOMBSTONE) != (kind == KIND_TOMBSTONE):
            entry = self.successor(entry)
            entry.marks = TOMBSTONES << 2 if kind == KIND_TOMBSTONE else 0
        else:
            self.tally(entry, -1)
        entry.kind, entry.reply = kind, reply
        entry.hlc, entry.node, entry.expires_ms = hlc, node, expires_ms
        self.tally(entry, 1)
        if hlc > self.hlc_high:
            self.hlc_high = hlc
        self.admit(entry)
        return entry

    def get(self, bytes key not None):
        cdef PyObject* found = self.find(key)
        return None if found == NULL else <Entry>found

    def put(self, key, int kind, value, int64_t hlc, int64_t node, int64_t expires_ms):
        if not PyBytes_CheckExact(key) or not PyBytes_CheckExact(value):
            raise TypeError("key and value must be bytes")
        if kind != KIND_STRING and kind != KIND_HASH and kind != KIND_TOMBSTONE:
            raise ValueError(f"unknown kind {kind}")
        ranged("hlc", hlc, HLC_TOP)
        ranged("node", node, 0xFFFFFFFF)
        ranged("expires_ms", expires_ms, INT64_TOP)
        cdef PyObject* found = self.find(<bytes>key)
        cdef bytes reply = NIL_REPLY
        if kind != KIND_TOMBSTONE:
            reply = framed(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        cdef Entry entry = None
        if found != NULL:
            entry = <Entry>found
        return self.store(entry, <bytes>key, kind, reply, hlc, <uint32_t>node, expires_ms)

    def remove(self, bytes key not None):
        cdef PyObject* found = self.find(key)
        if found == NULL:
            return None
        cdef Entry entry = <Entry>found
        cdef SlotIndex* index = &self.slots[slot_in(entry)]
        self.tally(entry, -1)
        self.vacate(self.found)
        Py_DECREF(entry)
        self.count -= 1
        index.items[entry.position] = NULL
        index.count -= 1
        while index.used and index.items[index.used - 1] == NULL:
            index.used -= 1
        if index.used > 16 and index.count * 2 < index.used:
            self.pack(index)
        if index.count == 0:
            free(index.items)
            index.items, index.room = NULL, 0
        entry.position, entry.marks, entry.generation = DETACHED, entry.marks & 3, 0
        return entry

    cdef void pack(self, SlotIndex* index) noexcept:
        """Close the holes of a slot's array, keeping the order, and give back half of its room."""
        cdef uint32_t i, into = 0
        cdef PyObject** items
        for i in range(index.used):
            if index.items[i] != NULL:
                index.items[into] = index.items[i]
                (<Entry>index.items[into]).position = into
                into += 1
        index.used = into
        items = <PyObject**>realloc(index.items, (into + 4) * sizeof(PyObject*))
        if items != NULL:
            index.items, index.room = items, into + 4

    cpdef assign(self, Entry entry, int queue):
        cdef Note* note
        if entry is None:
            raise TypeError("entry must not be None")
        ranged("queue", queue, TOMBSTONES - 1)
        if self.notes != NULL and entry.marks >> 2 not in (0, queue) and entry.position != DETACHED:
            note = self.note_of(entry, self.code_of(entry))
            if note != NULL:
                note.stamp &= TWIN
        self.move(entry, queue)

    def entry_queue(self, int queue):
        cdef CompiledQueue made = CompiledQueue.__new__(CompiledQueue)
        made.table, made.number = self, ranged("queue", queue, TOMBSTONES - 1)
        return made

    def entry_ring(self, int queue):
        cdef CompiledRing made = CompiledRing.__new__(CompiledRing)
        made.queue = self.entry_queue(queue)
        return made

    def entry_order(self, int queue, int feeder=0):
        cdef CompiledOrder made = CompiledOrder.__new__(CompiledOrder)
        made.number, made.feeder = ranged("queue", queue, TOMBSTONES - 1), ranged("feeder", feeder, TOMBSTONES - 1)
        self.want_notes()
        made.table = self
        return made

    def use_order(self, int queue, int64_t halve_every):
        cdef CompiledUses made = CompiledUses.__new__(CompiledUses)
        made.number, made.halve_every = ranged("queue", queue, TOMBSTONES - 1), ranged("halve_every", halve_every, COUNT_MAX)
        made.least = made.most = 1
        self.want_notes()
        made.table = self
        return made

    def worth_order(self, int queue):
        cdef CompiledWorths made = CompiledWorths.__new__(CompiledWorths)
        made.number = ranged("queue", queue, TOMBSTONES - 1)
        self.want_notes()
        try:
            self.want_worths()
        except MemoryError:
            self.drop_notes()
            raise
        made.table = self
        return made

    def expiry_order(self, int queue):
        cdef CompiledExpiries made = CompiledExpiries.__new__(CompiledExpiries)
        made.number = ranged("queue", queue, TOMBSTONES - 1)
        self.want_notes()
        made.table = self
        return made

    def segmented_order(self, tuple queues not None, int64_t keys, bint in_objects):
        cdef CompiledSegments made = CompiledSegments.__new__(CompiledSegments)
        window, probation, protected = queues
        made.window, made.probation = self.entry_order(window), self.entry_order(probation)
        made.protected, made.sketch = self.entry_order(protected), made_sketch(keys)
        made.protected.moves_on = True
        made.table, made.in_objects = self, in_objects
        return made

    def balanced_order(self, tuple queues not None, int64_t limit):
        cdef CompiledBalance made = CompiledBalance.__new__(CompiledBalance)
        recent, frequent = queues
        made.table, made.limit = self, limit
        made.recent, made.frequent = self.entry_queue(recent), self.entry_order(frequent, recent)
        made.left_recent, made.left_frequent = self.key_memory(), self.key_memory()
        return made

    def ghosts(self, keys_max not None):
        return made_ghosts(keys_max)

    def key_memory(self):
        return CompiledMemory.__new__(CompiledMemory)

    def sketch(self, int64_t keys):
        return made_sketch(keys)

    @property
    def notes_bytes(self):
        return 0 if self.notes == NULL else <int64_t>((self.mask + 1) << self.note_shift)

    def queue_bytes(self, int queue):
        return self.tally_bytes[ranged("queue", queue, QUEUES - 1)]

    def queue_count(self, int queue):
        return self.tally_counts[ranged("queue", queue, QUEUES - 1)]

    # -- gate

    cdef inline int mark(self, bytes key, unsigned int slot) except -1:
        self.band_counts[slot // SLOTS_PER_BAND] += 1
        if PyList_GET_SIZE(self._touched) < self.touches_max:
            PyList_Append(self._touched, key)
        else:
            self.touches_lost += 1
        return 0

    cdef inline int mark_write(self, bytes key, unsigned int slot) except -1:
        if PyList_GET_SIZE(self._touched) < self.touches_max:
            PyList_Append(self._written, key)
        else:
            self.writes_lost += 1
        return self.mark(key, slot)

    def touch(self, bytes key not None, Entry entry not None):
        if (entry.marks & 3) < 3:
            entry.marks += 1
        self.mark(key, slot_in(entry))

    def note(self, keys):
        for slot in self.slots_of(keys):
            self.band_counts[<unsigned int>slot // SLOTS_PER_BAND] += 1

    def take_bands(self):
        cdef list bands = []
        cdef int band
        for band in range(BANDS):
            PyList_Append(bands, self.band_counts[band])
            self.band_counts[band] = 0
        return bands

    def slot_of(self, bytes key not None):
        return slot_of_text(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))

    def slots_of(self, keys):
        cdef bytes key
        cdef list slots = []
        for item in keys:
            key = item
            if key is None:
                raise TypeError("keys must be bytes")
            slots.append(slot_of_text(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)))
        return slots

    def slot_count(self, int64_t slot):
        return self.slots[ranged("slot", slot, SLOTS - 1)].count

    def slot_live(self, int64_t slot):
        cdef SlotIndex* index = &self.slots[ranged("slot", slot, SLOTS - 1)]
        return index.count - index.tombstones

    def slot_keys(self, int64_t slot):
        cdef SlotIndex* index = &self.slots[ranged("slot", slot, SLOTS - 1)]
        cdef uint32_t i
        cdef list keys = []
        for i in range(index.used):
            if index.items[i] != NULL:
                PyList_Append(keys, (<Entry>index.items[i]).key)
        return keys

    def split(self, keys, bytes groups not None):
        cdef bytes key
        cdef const unsigned char* group_of = <const unsigned char*>PyBytes_AS_STRING(groups)
        cdef Py_ssize_t position = 0
        if PyBytes_GET_SIZE(groups) != SLOTS:
            raise ValueError(f"groups must be {SLOTS} bytes, not {len(groups)}")
        if groups is not self.groups_held:
            self.groups_held, self.groups_count = groups, max(groups) + 1
        cdef list parts = [[] for _ in range(self.groups_count)]
        for item in keys:
            key = item
            if key is None:
                raise TypeError("keys must be bytes")
            (<list>parts[group_of[slot_of_text(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))]]).append(position)
            position += 1
        return parts

    cdef inline int64_t draw(self, int64_t wall_ms) noexcept:
        cdef int64_t least = wall_ms << 16
        self.hlc_high = self.hlc_high + 1 if self.hlc_high >= least else least
        return self.hlc_high

    def next_hlc(self, int64_t wall_ms):
        return self.draw(wall_ms)

    def multi_get(self, keys, int64_t now_ms):
        cdef list found = []
        cdef bytes key, value
        cdef PyObject* there
        cdef Entry entry
        cdef Py_ssize_t found_bytes = 0
        for item in keys:
            if not PyBytes_CheckExact(item):
                raise TypeError("keys must be bytes")
            key = <bytes>item
            there = self.find(key)
            if there != NULL and found_bytes < MULTI_GET_MAX:
                entry = <Entry>there
                if self.servable(entry) and not gone(entry, now_ms):
                    value = entry.value
                    found_bytes += PyBytes_GET_SIZE(value)
                    PyList_Append(found, value)
                    self.gate_reads += 1
                    self.gate_hits += 1
                    if (entry.marks & 3) < 3:
                        entry.marks += 1
                    self.mark(entry.key, slot_in(entry))
                    continue
            PyList_Append(found, None)
        return found

    def multi_put(self, keys, values, int64_t hlc, int64_t node, int64_t expires_ms):
        cdef Py_ssize_t i, total = len(keys)
        cdef list fresh = [], older = []
        cdef bytes key, value
        cdef PyObject* found
        cdef Entry entry
        if total != len(values):
            raise ValueError(f"{total} keys but {len(values)} values")
        ranged("hlc", hlc, HLC_TOP)
        ranged("node", node, 0xFFFFFFFF)
        ranged("expires_ms", expires_ms, INT64_TOP)
        for part in (keys, values):
            for item in part:
                if not PyBytes_CheckExact(item):
                    raise TypeError("keys and values must be bytes")
        self.older = older
        for i in range(total):
            key = keys[i]
            value = values[i]
            found = self.find(key)
            entry = None
            if found != NULL:
                entry = <Entry>found
                if <int64_t>entry.hlc > hlc or (<int64_t>entry.hlc == hlc and entry.node > node):
                    PyList_Append(older, i)
                    continue
                if <int64_t>entry.hlc == hlc and entry.node == node:
                    if not tie_wins(KIND_STRING, value, entry.kind, entry.value):
                        PyList_Append(older, i)
                        continue
            if entry is None or entry.kind == KIND_TOMBSTONE:
                PyList_Append(fresh, key)
            self.store(
                entry, key, KIND_STRING, framed(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)),
                hlc, <uint32_t>node, expires_ms,
            )
        return fresh

    def set_slots(self, bytes flags not None):
        if PyBytes_GET_SIZE(flags) != SLOTS or max(flags) > 15:
            raise ValueError(f"flags must be {SLOTS} bytes of SLOT_* bits")
        self.flags_held = flags
        self.flags = <const unsigned char*>PyBytes_AS_STRING(flags)

    def set_guard(self, prefixes, default_open):
        cdef tuple held = tuple(prefixes)
        for prefix in held:
            if not PyBytes_CheckExact(prefix):
                raise TypeError("prefixes must be bytes")
        self.prefixes, self.guard_open = held, bool(default_open)

    def open_gate(self, int64_t generation):
        if generation <= self._generation or generation > 0xFFFFFFFF:
            raise ValueError(f"generation {generation} is not above {self._generation}")
        self._generation = <uint32_t>generation

    cdef bint allows(self, const char* key, Py_ssize_t size) noexcept:
        cdef Py_ssize_t length
        if not self._generation or not self.guard_open:
            return False
        for prefix in self.prefixes:
            length = PyBytes_GET_SIZE(<bytes>prefix)
            if length <= size and memcmp(key, PyBytes_AS_STRING(<bytes>prefix), length) == 0:
                return False
        return True

    cdef inline bint admit(self, Entry entry) noexcept:
        cdef bint inside = (
            entry.position != DETACHED
            and entry.kind != KIND_HASH
            and self.allows(PyBytes_AS_STRING(entry.key), PyBytes_GET_SIZE(entry.key))
        )
        entry.generation = self._generation if inside else 0
        return inside

    def readmit(self, bytes key not None, Entry entry not None):
        return self.admit(entry)

    cdef inline bint servable(self, Entry entry) noexcept:
        return (
            self._generation != 0
            and entry.generation == self._generation
            and self.guard_open
            and self.flags[slot_in(entry)] != 0
        )

    cdef int say(self, const char* text, Py_ssize_t size) except -1:
        """Append to the replies."""
        cdef char* grown
        cdef Py_ssize_t room
        if self.out_used + size > self.out_room:
            room = (self.out_used + size) * 2
            grown = <char*>realloc(self.out, room)
            if grown == NULL:
                raise MemoryError()
            self.out, self.out_room = grown, room
        memcpy(self.out + self.out_used, text, size)
        self.out_used += size
        return 0

    cdef inline int say_bytes(self, bytes text) except -1:
        return self.say(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))

    cdef int serve_get(self, const char* text, Py_ssize_t size, int64_t now_ms, bytes nil) except -1:
        """1 when answered, 0 when the long way must."""
        cdef PyObject* found = self.find_text(text, size)
        cdef Entry entry
        cdef unsigned int slot
        if found == NULL:
            slot = slot_of_text(text, size)
            if not self.flags[slot] & SOLE or not self.allows(text, size):
                return 0
            self.gate_reads += 1
            self.mark(PyBytes_FromStringAndSize(text, size), slot)
            self.say_bytes(nil)
            return 1
        entry = <Entry>found
        if not self.servable(entry) or not self.flags[slot_in(entry)] & self.hit_bits:
            return 0
        if gone(entry, now_ms):
            if not self.flags[slot_in(entry)] & SOLE:
                return 0
            self.gate_reads += 1
            self.mark(entry.key, slot_in(entry))
            self.say_bytes(nil)
            return 1
        self.gate_reads += 1
        self.gate_hits += 1
        if (entry.marks & 3) < 3:
            entry.marks += 1
        self.mark(entry.key, slot_in(entry))
        self.say_bytes(entry.reply)
        return 1

    cdef inline bint writable(self, int flags) noexcept:
        """Whether the gate may write in a slot now: where others must learn of it, while they can."""
        return flags & SOLE != 0 or (flags & WRITE != 0 and PyList_GET_SIZE(self._touched) < self.touches_max)

    cdef int serve_set(
        self, const char* key, Py_ssize_t key_bytes, const char* reply, Py_ssize_t reply_bytes, int64_t now_ms
    ) except -1:
        """1 when stored, 0 when the long way must. ``reply`` is the value with its header as it came."""
        cdef PyObject* found = self.find_text(key, key_bytes)
        cdef Entry entry = None
        cdef bytes name = None
        cdef int64_t growth = key_bytes + payload_bytes(reply_bytes) + OVERHEAD
        cdef bint is_fresh = True
        if found == NULL:
            if not self.allows(key, key_bytes) or not self.writable(self.flags[slot_of_text(key, key_bytes)]):
                return 0
        else:
            entry = <Entry>found
            if not self.servable(entry) or not self.writable(self.flags[slot_in(entry)]):
                return 0
            growth -= size_of(entry)
            is_fresh = entry.kind == KIND_TOMBSTONE
        if growth > 0 and self.bytes_used + growth > self.inline_bytes_max:
            return 0
        if found == NULL:
            name = PyBytes_FromStringAndSize(key, key_bytes)
        entry = self.store(
            entry, name, KIND_STRING, PyBytes_FromStringAndSize(reply, reply_bytes),
            self.draw(now_ms), self.node_tag, 0,
        )
        if is_fresh:
            PyList_Append(self.inserted, entry.key)
        elif self.lists_superseded and not entry.slot_marks & BARE:
            PyList_Append(self.superseded, entry.key)
        entry.slot_marks = slot_in(entry) | (BARE if self.lists_superseded else 0)
        self.gate_writes += 1
        self.mark_write(entry.key, slot_in(entry))
        self.say(b"+OK\r\n", 5)
        return 1

    cdef Py_ssize_t serve_one(self, const char* data, Py_ssize_t at, Py_ssize_t end, int64_t now_ms, bytes nil) except -2:
        """Offset after the command at ``at``; -1 when it is not served here."""
        cdef Py_ssize_t key, key_bytes, value, value_bytes, header
        if end - at < 14 or data[at] != 42 or data[at + 2] != 13 or data[at + 3] != 10 or data[at + 4] != 36:
            return -1
        cdef const char* name = data + at + 8
        if data[at + 5] == 51 and data[at + 6] == 13 and data[at + 7] == 10 and name[3] == 13 and name[4] == 10:
            key = at + 13
            if data[at + 1] == 50 and name[0] & 0xDF == 71 and name[1] & 0xDF == 69 and name[2] & 0xDF == 84:
                key_bytes = bulk_length(data, &key, end, KEY_MAX)
                if key_bytes < 0 or not self.serve_get(data + key, key_bytes, now_ms, nil):
                    return -1
                return key + key_bytes + 2
            if data[at + 1] == 51 and name[0] & 0xDF == 83 and name[1] & 0xDF == 69 and name[2] & 0xDF == 84:
                key_bytes = bulk_length(data, &key, end, KEY_MAX)
                if key_bytes < 0:
                    return -1
                header = value = key + key_bytes + 2
                value_bytes = bulk_length(data, &value, end, VALUE_MAX)
                if value_bytes < 0:
                    return -1
                value_bytes += value - header + 2
                if not self.serve_set(data + key, key_bytes, data + header, value_bytes, now_ms):
                    return -1
                return header + value_bytes
        elif data[at + 1] == 49 and data[at + 5] == 52 and memcmp(data + at + 6, b"\r\n", 2) == 0:
            if (
                name[0] & 0xDF == 80 and name[1] & 0xDF == 73 and name[2] & 0xDF == 78 and name[3] & 0xDF == 71
                and name[4] == 13 and name[5] == 10
            ):
                self.say(b"+PONG\r\n", 7)
                return at + 14
        return -1

    def plain_run(self, data, Py_ssize_t start, Py_ssize_t keys_max):
        if not PyBytes_CheckExact(data):
            raise TypeError("data must be bytes")
        cdef const char* text = PyBytes_AS_STRING(data)
        cdef const char* name
        cdef Py_ssize_t end = PyBytes_GET_SIZE(data), at = start, key, key_bytes, value, value_bytes
        cdef list keys = [], values = []
        cdef bint sets = False
        if start < 0:
            raise ValueError(f"start must not be negative: {start}")
        while PyList_GET_SIZE(keys) < keys_max and end - at >= 14:
            name = text + at + 8
            if (
                text[at] != 42 or memcmp(text + at + 2, b"\r\n$3\r\n", 6) != 0
                or name[1] & 0xDF != 69 or name[2] & 0xDF != 84 or name[3] != 13 or name[4] != 10
            ):
                break
            if at == start:
                sets = text[at + 1] == 51
            if text[at + 1] != (51 if sets else 50) or name[0] & 0xDF != (83 if sets else 71):
                break
            key = at + 13
            key_bytes = bulk_length(text, &key, end, KEY_MAX)
            if key_bytes < 0:
                break
            if sets:
                value = key + key_bytes + 2
                value_bytes = bulk_length(text, &value, end, VALUE_MAX)
                if value_bytes < 0:
                    break
                PyList_Append(values, PyBytes_FromStringAndSize(text + value, value_bytes))
                at = value + value_bytes + 2
            else:
                at = key + key_bytes + 2
            PyList_Append(keys, PyBytes_FromStringAndSize(text + key, key_bytes))
        return keys, values if sets and keys else None, at

    def serve(self, data, int64_t now_ms, nil, int hit_bits=READ | SOLE):
        if not PyBytes_CheckExact(data) or not PyBytes_CheckExact(nil):
            raise TypeError("data and nil must be bytes")
        cdef const char* text = PyBytes_AS_STRING(data)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(data), at = 0, after
        cdef char* shrunk
        self.out_used = 0
        self.hit_bits = hit_bits
        while at < end and self.out_used < SERVE_MAX:
            after = self.serve_one(text, at, end, now_ms, <bytes>nil)
            if after < 0:
                break
            at = after
        replies = PyBytes_FromStringAndSize(self.out, self.out_used)
        if self.out_room > OUT_BYTES_KEPT:
            shrunk = <char*>realloc(self.out, 65536)
            if shrunk != NULL:
                self.out, self.out_room = shrunk, 65536
        return replies, at


include "_waiting.pxi"
include "_orders.pxi"
include "_worths.pxi"
include "_expiries.pxi"
include "_ghosts.pxi"
include "_segments.pxi"
include "_balance.pxi"
