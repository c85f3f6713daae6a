# Memories of keys, compiled: what `plain_ghosts` does, by the same prints, so that decisions are the
# same ones in every process.

cdef enum:
    GHOST_WAYS = 4
    GHOST_CELLS_MIN = 1024
    GHOST_CELLS_MAX = 16777216
    GHOST_GROWTH_CHECKED_EVERY = 64
    SKETCH_ROWS = 4
    SKETCH_ROW_BYTES = 16
    SKETCH_BLOCK_BYTES = 64  # a line of the processor's cache
    SKETCH_TOP = 15
    SKETCH_SAMPLE = 10


cdef inline uint32_t print_of_key(bytes key) noexcept:
    cdef uint32_t code = crc32_of(<const unsigned char*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)) * 0x9E3779B1u
    code ^= code >> 16
    return code if code else 1


def key_print(bytes key not None):
    """For the test that holds it equal to ``plain_ghosts.key_print``."""
    return print_of_key(key)


cdef struct GhostBucket:
    uint32_t prints[GHOST_WAYS]
    uint32_t sequences[GHOST_WAYS]


cdef int compare_numbers(const void* one, const void* other) noexcept nogil:
    cdef uint64_t a = (<const uint64_t*>one)[0], b = (<const uint64_t*>other)[0]
    return (a > b) - (a < b)


@cython.final
cdef class CompiledGhosts:
    cdef object keys_max
    cdef GhostBucket* buckets
    cdef uint32_t cells, sequence

    def __init__(self):
        raise TypeError("memories are made by their table")

    def __dealloc__(self):
        rd_drop_array(self.buckets, self.cells // GHOST_WAYS * sizeof(GhostBucket))

    cdef int clear(self, uint32_t cells) except -1:
        cdef GhostBucket* buckets = <GhostBucket*>rd_array(cells // GHOST_WAYS * sizeof(GhostBucket))
        if buckets == NULL:
            raise MemoryError()
        rd_drop_array(self.buckets, self.cells // GHOST_WAYS * sizeof(GhostBucket))
        self.buckets, self.cells = buckets, cells
        return 0

    @property
    def overhead_bytes(self):
        return 8 * <int64_t>self.cells

    cdef void place(self, uint32_t code, uint32_t sequence) noexcept:
        cdef GhostBucket* bucket = &self.buckets[code & (self.cells // GHOST_WAYS - 1)]
        cdef int way, oldest = 0
        for way in range(1, GHOST_WAYS):
            if bucket.sequences[way] < bucket.sequences[oldest]:
                oldest = way
        bucket.prints[oldest] = code
        bucket.sequences[oldest] = sequence

    cdef int grow(self) except -1:
        cdef uint64_t* known = <uint64_t*>malloc(self.cells * sizeof(uint64_t))
        cdef size_t count = 0, i
        cdef int way
        if known == NULL:
            raise MemoryError()
        for i in range(self.cells // GHOST_WAYS):
            for way in range(GHOST_WAYS):
                if self.buckets[i].sequences[way]:
                    known[count] = (<uint64_t>self.buckets[i].sequences[way] << 32) | self.buckets[i].prints[way]
                    count += 1
        qsort(known, count, sizeof(uint64_t), compare_numbers)
        try:
            self.clear(2 * self.cells)
            for i in range(count):
                self.place(<uint32_t>known[i], <uint32_t>(known[i] >> 32))
        finally:
            free(known)
        return 0

    def add(self, bytes key not None):
        self.sequence += 1
        if not self.sequence % GHOST_GROWTH_CHECKED_EVERY:
            while self.cells < GHOST_CELLS_MAX and <int64_t>self.keys_max() * 4 > <int64_t>self.cells * 3:
                self.grow()
        if self.sequence == 0:
            self.sequence = 1
            self.clear(self.cells)
        self.place(print_of_key(key), self.sequence)

    def take(self, bytes key not None):
        cdef uint32_t code = print_of_key(key), sequence
        cdef GhostBucket* bucket = &self.buckets[code & (self.cells // GHOST_WAYS - 1)]
        cdef int way
        for way in range(GHOST_WAYS):
            if bucket.prints[way] == code:
                sequence = bucket.sequences[way]
                bucket.sequences[way] = bucket.prints[way] = 0
                return <int64_t>(self.sequence - sequence) < <int64_t>self.keys_max()
        return False


cdef struct MemoryCell:
    uint32_t code
    uint32_t stamp
    uint32_t size


cdef int64_t MEMORY_BYTES = 56  # at most: two records (17) and a cell (20 to 40)


cdef bint memory_lives(void* owner, uint64_t record) noexcept:
    return (<CompiledMemory>owner).cell_of_record(record) >= 0


cdef void fetch_memory(void* owner, uint64_t record) noexcept:
    cdef CompiledMemory memory = <CompiledMemory>owner
    rd_prefetch(memory.cells + (<uint32_t>(record >> 32) & memory.mask))


@cython.final
@cython.no_gc
cdef class CompiledMemory:
    cdef MemoryCell* cells
    cdef size_t mask
    cdef Log log
    cdef uint32_t stamp
    cdef int64_t count
    cdef readonly int64_t total

    def __cinit__(self):
        self.cells = <MemoryCell*>rd_array(CELLS_MIN * sizeof(MemoryCell))
        if self.cells == NULL:
            raise MemoryError()
        self.mask = CELLS_MIN - 1

    def __init__(self):
        raise TypeError("memories are made by their table")

    def __dealloc__(self):
        rd_drop_array(self.cells, (self.mask + 1) * sizeof(MemoryCell))
        log_free(&self.log)

    def __len__(self):
        return self.count

    @property
    def overhead_bytes(self):
        return MEMORY_BYTES * self.count

    @property
    def allocated_bytes(self):
        return log_bytes(&self.log) + <int64_t>((self.mask + 1) * sizeof(MemoryCell))

    cdef inline int64_t cell_of(self, uint32_t code) noexcept:
        cdef size_t i = code & self.mask
        while self.cells[i].code:
            if self.cells[i].code == code:
                return <int64_t>i
            i = (i + 1) & self.mask
        return -1

    cdef inline int64_t cell_of_record(self, uint64_t record) noexcept:
        cdef int64_t cell = self.cell_of(<uint32_t>(record >> 32))
        return cell if cell >= 0 and self.cells[cell].stamp == <uint32_t>record else -1

    cdef void vacate(self, size_t hole) noexcept:
        cdef size_t i = hole, home
        self.total -= self.cells[hole].size
        self.count -= 1
        while True:
            i = (i + 1) & self.mask
            if not self.cells[i].code:
                break
            home = self.cells[i].code & self.mask
            if ((i - home) & self.mask) >= ((i - hole) & self.mask):
                self.cells[hole] = self.cells[i]
                hole = i
        self.cells[hole].code = 0

    cdef int grow(self) except -1:
        cdef size_t room = (self.mask + 1) * 2, i, j
        cdef MemoryCell* cells = <MemoryCell*>rd_array(room * sizeof(MemoryCell))
        if cells == NULL:
            raise MemoryError()
        for i in range(self.mask + 1):
            if self.cells[i].code:
                j = self.cells[i].code & (room - 1)
                while cells[j].code:
                    j = (j + 1) & (room - 1)
                cells[j] = self.cells[i]
        rd_drop_array(self.cells, (self.mask + 1) * sizeof(MemoryCell))
        self.cells, self.mask = cells, room - 1
        return 0

    def __contains__(self, bytes key not None):
        return self.cell_of(print_of_key(key)) >= 0

    def add(self, bytes key not None, int64_t size, int64_t total_max, int64_t keys_max):
        ranged("size", size, 0xFFFFFFFF)
        self.remember(print_of_key(key), size, total_max, keys_max)

    cdef int remember(self, uint32_t code, int64_t size, int64_t total_max, int64_t keys_max) except -1:
        cdef int64_t cell = self.cell_of(code)
        cdef size_t i
        if cell >= 0:
            self.vacate(<size_t>cell)
        if (self.count + 1) * 5 > <int64_t>(self.mask + 1) * 3:
            self.grow()
        self.stamp += 1
        i = code & self.mask
        while self.cells[i].code:
            i = (i + 1) & self.mask
        self.cells[i].code, self.cells[i].stamp, self.cells[i].size = code, self.stamp, <uint32_t>size
        self.count += 1
        self.total += size
        log_push(&self.log, record_of(code, self.stamp))
        if self.log.length > 2 * self.count + LOG_SLACK:
            log_pack(&self.log, <void*>self, memory_lives, fetch_memory)
        self.drop(total_max, keys_max)
        return 0

    def discard(self, bytes key not None):
        self.forget(print_of_key(key))

    cdef void forget(self, uint32_t code) noexcept:
        cdef int64_t cell = self.cell_of(code)
        if cell >= 0:
            self.vacate(<size_t>cell)

    def shrink(self, int64_t total_max):
        self.drop(total_max, self.count)

    cdef void drop(self, int64_t total_max, int64_t keys_max) noexcept:
        cdef Block* block
        cdef int64_t cell
        while self.count and (self.total > total_max or self.count > keys_max):
            block = log_front(&self.log)
            if block.begin + AHEAD < block.end:
                fetch_memory(<void*>self, block.records[block.begin + AHEAD])
            cell = self.cell_of_record(block.records[block.begin])
            log_drop_front(&self.log, block)
            if cell >= 0:
                self.vacate(<size_t>cell)


@cython.final
@cython.no_gc
cdef class CompiledSketch:
    cdef unsigned char* counts
    cdef size_t mask
    cdef int64_t seen, seen_max

    def __init__(self):
        raise TypeError("sketches are made by their table")

    def __dealloc__(self):
        rd_drop_array(self.counts, (self.mask + 1) * SKETCH_BLOCK_BYTES)

    @property
    def overhead_bytes(self):
        return <int64_t>((self.mask + 1) * SKETCH_BLOCK_BYTES)

    cdef inline unsigned char* block_of(self, uint32_t key_code) noexcept:
        return self.counts + ((key_code * <uint64_t>0x9E3779B97F4A7C15u >> 32) & self.mask) * SKETCH_BLOCK_BYTES

    cdef inline void fetch(self, uint32_t key_code) noexcept:
        rd_prefetch(self.block_of(key_code))

    cdef void count(self, uint32_t key_code) noexcept:
        cdef uint64_t code = key_code * <uint64_t>0x9E3779B97F4A7C15u >> 16
        cdef unsigned char* row = self.block_of(key_code)
        cdef size_t i
        for i in range(SKETCH_ROWS):
            row[code & 15] += row[code & 15] < SKETCH_TOP
            row += SKETCH_ROW_BYTES
            code >>= 4
        self.seen += 1
        if self.seen >= self.seen_max:
            for i in range((self.mask + 1) * SKETCH_BLOCK_BYTES):
                self.counts[i] >>= 1
            self.seen //= 2

    cdef int uses(self, uint32_t key_code) noexcept:
        cdef uint64_t code = key_code * <uint64_t>0x9E3779B97F4A7C15u >> 16
        cdef unsigned char* row = self.block_of(key_code)
        cdef int least = SKETCH_TOP, i
        for i in range(SKETCH_ROWS):
            least = min(least, row[code & 15])
            row += SKETCH_ROW_BYTES
            code >>= 4
        return least

    def add(self, bytes key not None):
        self.count(print_of_key(key))

    def estimate(self, bytes key not None):
        return self.uses(print_of_key(key))


cdef CompiledGhosts made_ghosts(keys_max):
    cdef CompiledGhosts made = CompiledGhosts.__new__(CompiledGhosts)
    made.keys_max = keys_max
    made.clear(GHOST_CELLS_MIN)
    return made


cdef CompiledSketch made_sketch(int64_t keys):
    cdef CompiledSketch made = CompiledSketch.__new__(CompiledSketch)
    cdef size_t blocks = 4
    while <int64_t>(blocks * SKETCH_BLOCK_BYTES) < SKETCH_ROWS * 4 * keys:
        blocks *= 2
    made.counts, made.mask = <unsigned char*>rd_array(blocks * SKETCH_BLOCK_BYTES), blocks - 1
    if made.counts == NULL:
        raise MemoryError()
    made.seen_max = SKETCH_SAMPLE * max(keys, 16)
    return made
