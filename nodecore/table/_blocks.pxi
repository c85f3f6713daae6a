# An append-only log of 64-bit records in blocks: written at the end, read from the front, packed in
# steps. A record goes stale without being found and touched, which is why appending costs no cache
# miss; whoever reads asks `lives` about each one.

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define rd_prefetch(at) __builtin_prefetch(at)
    #else
    #define rd_prefetch(at) ((void)(at))
    #endif
    """
    void rd_prefetch(const void* at) noexcept

cdef enum:
    BLOCK_RECORDS = 126  # with its header and what the allocator adds: 8.25 bytes a record
    LOG_SLACK = 64

cdef struct Block:
    Block* next
    uint32_t begin
    uint32_t end
    uint64_t records[BLOCK_RECORDS]

cdef struct Log:
    Block* first
    Block* last
    Block* packed  # packing goes on behind this one; NULL: at the front
    Block* hand  # where a walk stands (see CompiledRing); NULL: before the oldest
    uint32_t hand_at
    int64_t length
    int64_t blocks

ctypedef bint (*Lives)(void* owner, uint64_t record) noexcept
ctypedef void (*Fetch)(void* owner, uint64_t record) noexcept


cdef int log_push(Log* log, uint64_t record) except -1:
    cdef Block* block = log.last
    if block == NULL or block.end == BLOCK_RECORDS:
        block = <Block*>malloc(sizeof(Block))
        if block == NULL:
            raise MemoryError()
        block.next, block.begin, block.end = NULL, 0, 0
        if log.last == NULL:
            log.first = block
        else:
            log.last.next = block
        log.last = block
        log.blocks += 1
    block.records[block.end] = record
    block.end += 1
    log.length += 1
    return 0


cdef Block* log_front(Log* log) noexcept:
    """The block that holds the oldest record, NULL when there is none; frees what was read up."""
    cdef Block* block = log.first
    while block != NULL and block.begin == block.end:
        log.first = block.next
        if log.packed == block:
            log.packed = NULL
        if log.last == block:
            log.last = NULL
        free(block)
        log.blocks -= 1
        block = log.first
    return block


cdef inline uint64_t log_ahead(Block* block, uint32_t far) noexcept:
    """The record that comes so far behind the first of a block, less than a block's; 0: none does."""
    far += block.begin
    while far >= block.end:
        far -= block.end
        block = block.next
        if block == NULL:
            return 0
        far += block.begin
    return block.records[far]


cdef inline void log_drop_front(Log* log, Block* front) noexcept:
    front.begin += 1
    log.length -= 1


cdef void log_join(Log* log, Block* before, Block* block) noexcept:
    """Append a block's records to those of the block before it, where they fit."""
    cdef uint32_t held = before.end - before.begin, added = block.end
    if before.begin:
        memmove(before.records, before.records + before.begin, held * sizeof(uint64_t))
        if log.hand == before:
            log.hand_at -= before.begin
        before.begin, before.end = 0, held
    memcpy(before.records + held, block.records, added * sizeof(uint64_t))
    before.end = held + added
    if log.hand == block:
        log.hand, log.hand_at = before, log.hand_at + held
    before.next = block.next
    if log.last == block:
        log.last = before
    free(block)
    log.blocks -= 1


cdef void log_pack(Log* log, void* owner, Lives lives, Fetch fetch) noexcept:
    """Drop the stale records of one block more; the next call goes on behind it, round and round.

    Once it has been all round, blocks are at least half full on average.
    """
    cdef Block* before = log.packed
    cdef Block* block = log.first if before == NULL else before.next
    cdef uint32_t i, into = 0, hand_at
    if block == NULL:
        return
    hand_at = log.hand_at
    for i in range(block.begin, block.end):
        fetch(owner, block.records[i])
    for i in range(block.begin, block.end):
        if log.hand == block and log.hand_at == i:
            hand_at = into
        # Without a branch: which ones live cannot be foretold.
        block.records[into] = block.records[i]
        into += lives(owner, block.records[i])
    if log.hand == block:
        log.hand_at = into if log.hand_at >= block.end else hand_at
    log.length -= (block.end - block.begin) - into
    block.begin, block.end = 0, into
    if before != NULL and before.end - before.begin + into <= BLOCK_RECORDS:
        log_join(log, before, block)
        block = before
    log.packed = NULL if block == log.last else block


cdef void log_free(Log* log) noexcept:
    cdef Block* block = log.first
    cdef Block* after
    while block != NULL:
        after = block.next
        free(block)
        block = after
    log.first = log.last = log.packed = log.hand = NULL
    log.length = log.blocks = 0


cdef inline int64_t log_bytes(Log* log) noexcept:
    return log.blocks * <int64_t>(sizeof(Block) + 16)


cdef void log_concat(Log* log, Log* more) noexcept:
    """Append all of ``more``, which is empty afterwards."""
    if log.last == NULL:
        log.first = more.first
    else:
        log.last.next = more.first
    if more.last != NULL:
        log.last = more.last
    log.length += more.length
    log.blocks += more.blocks
    more.first = more.last = more.packed = more.hand = NULL
    more.length = more.blocks = 0
