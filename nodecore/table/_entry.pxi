# One key's record: 64 bytes, no garbage collection support (it can't be part of a cycle).

cdef extern from *:
    """
    /* Without the count of references, which may lie in another line of the processor's cache. */
    #define rd_length(text) PyBytes_GET_SIZE(text)
    #define rd_text(text) PyBytes_AS_STRING(text)
    """
    Py_ssize_t rd_length(PyObject* text) noexcept
    const char* rd_text(PyObject* text) noexcept

cdef bytes NIL_REPLY = b"$-1\r\n"
cdef enum:
    DETACHED = 0xFFFFFFFF
    SLOT_MASK = 0x3FFF
    BARE = 0x8000
    KIND_STRING = 0
    KIND_HASH = 1
    KIND_TOMBSTONE = 255


cdef inline Py_ssize_t payload_bytes(Py_ssize_t reply_bytes) noexcept:
    """Length of the value inside of ``$n\\r\\n value \\r\\n`` that takes ``reply_bytes`` in all."""
    cdef Py_ssize_t digits = 1, limit = 10
    while reply_bytes - 5 - digits >= limit:
        digits += 1
        limit *= 10
    return reply_bytes - 5 - digits


cdef bytes framed(const char* value, Py_ssize_t size):
    """The value as a bulk reply."""
    cdef char header[24]
    cdef int length = snprintf(header, 24, b"$%zd\r\n", size)
    cdef bytes reply = PyBytes_FromStringAndSize(NULL, length + size + 2)
    cdef char* into = PyBytes_AS_STRING(reply)
    memcpy(into, header, length)
    memcpy(into + length, value, size)
    memcpy(into + length + size, b"\r\n", 2)
    return reply


@cython.final
@cython.no_gc
cdef class Entry:
    cdef readonly bytes key
    cdef readonly bytes reply
    cdef readonly uint64_t hlc
    cdef readonly int64_t expires_ms
    cdef readonly uint32_t node
    cdef readonly uint32_t generation
    cdef uint32_t position
    cdef uint16_t slot_marks  # the slot, and BARE above it
    cdef readonly uint8_t kind
    cdef uint8_t marks

    def __init__(self):
        raise TypeError("entries are made by their table")

    @property
    def value(self):
        if self.kind == KIND_TOMBSTONE or self.reply is None or self.reply is NIL_REPLY:
            return b""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.reply)
        cdef Py_ssize_t length = payload_bytes(size)
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(self.reply) + size - 2 - length, length)

    @property
    def counter(self):
        return self.marks & 3

    @counter.setter
    def counter(self, unsigned char count):
        if count > 3:
            raise ValueError(f"counter must be in 0..3, not {count}")
        self.marks = (self.marks & 252) | count

    @property
    def slot(self):
        return slot_in(self)

    @property
    def bare(self):
        return self.slot_marks & BARE != 0

    @bare.setter
    def bare(self, bint is_bare):
        self.slot_marks = (self.slot_marks & SLOT_MASK) | (BARE if is_bare else 0)

    @property
    def queue(self):
        return self.marks >> 2

    @property
    def size(self):
        return 0 if self.key is None else size_of(self)

    def snapshot(self):
        cdef Entry copy = Entry.__new__(Entry)
        copy.key, copy.reply = self.key, self.reply
        copy.hlc, copy.expires_ms, copy.node = self.hlc, self.expires_ms, self.node
        copy.slot_marks, copy.kind, copy.marks = self.slot_marks & SLOT_MASK, self.kind, self.marks & 3
        copy.position = DETACHED
        return copy

    def release(self):
        if self.position != DETACHED:
            raise ValueError("the entry is still in a table")
        self.reply = NIL_REPLY


cdef inline unsigned int slot_in(Entry entry) noexcept:
    return entry.slot_marks & SLOT_MASK


cdef inline Py_ssize_t size_of(Entry entry) noexcept:
    return size_at(<PyObject*>entry)


cdef inline Py_ssize_t size_at(PyObject* entry) noexcept:
    """As ``size_of``, without counting a reference."""
    cdef Py_ssize_t size = rd_length(<PyObject*>(<Entry>entry).key) + OVERHEAD
    cdef PyObject* reply = <PyObject*>(<Entry>entry).reply
    if (<Entry>entry).kind != KIND_TOMBSTONE and reply != <PyObject*>NIL_REPLY:
        size += payload_bytes(rd_length(reply))
    return size


cdef inline bint gone(Entry entry, int64_t now_ms) noexcept:
    """Whether a reader sees nothing: a tombstone, or past its expiry."""
    return entry.kind == KIND_TOMBSTONE or 0 < entry.expires_ms <= now_ms
