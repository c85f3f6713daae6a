# A filter of keys: three bits in a block of 512 for each, see ``key_filter``.
# Source of the hash: CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320), four bytes at a time (Kounavis and Berry, 2005).

cdef uint32_t CRC32[4][256]

cdef enum:
    AMONG_AT_ONCE = 16


cdef void fill_crc32() noexcept:
    cdef uint32_t byte, bit, crc
    for byte in range(256):
        crc = byte
        for bit in range(8):
            crc = (crc >> 1) ^ 0xEDB88320 if crc & 1 else crc >> 1
        CRC32[0][byte] = crc
    for byte in range(256):
        for bit in range(1, 4):
            CRC32[bit][byte] = (CRC32[bit - 1][byte] >> 8) ^ CRC32[0][CRC32[bit - 1][byte] & 255]


fill_crc32()


cdef inline uint32_t crc32_of(const unsigned char* text, Py_ssize_t size) noexcept:
    cdef uint32_t crc = 0xFFFFFFFF
    while size >= 4:
        crc ^= <uint32_t>text[0] | <uint32_t>text[1] << 8 | <uint32_t>text[2] << 16 | <uint32_t>text[3] << 24
        crc = CRC32[3][crc & 255] ^ CRC32[2][crc >> 8 & 255] ^ CRC32[1][crc >> 16 & 255] ^ CRC32[0][crc >> 24]
        text += 4
        size -= 4
    while size > 0:
        crc = (crc >> 8) ^ CRC32[0][(crc ^ text[0]) & 255]
        text += 1
        size -= 1
    return crc ^ 0xFFFFFFFF


@cython.final
cdef class CompiledKeyFilter:
    cdef uint64_t* words
    cdef uint32_t block_mask
    cdef Py_ssize_t size
    cdef bint added
    cdef public bint full

    def __cinit__(self, int64_t bits):
        if bits < 512 or bits & (bits - 1):
            raise ValueError(f"bits must be a power of two from 512 on, not {bits}")
        self.size = bits >> 3
        self.words = <uint64_t*>calloc(self.size, 1)
        if self.words == NULL:
            raise MemoryError()
        self.block_mask = <uint32_t>((bits >> 9) - 1)

    def __dealloc__(self):
        free(self.words)

    @property
    def used(self):
        return self.added or self.full

    @property
    def overhead_bytes(self):
        return self.size

    cdef inline bint holds_code(self, uint32_t code) noexcept:
        cdef uint64_t spread = code * <uint64_t>0x9E3779B97F4A7C15
        cdef const uint64_t* block = self.words + (<size_t>(code & self.block_mask) << 3)
        return (
            block[spread >> 61] >> (spread >> 55 & 63)
            & block[spread >> 52 & 7] >> (spread >> 46 & 63)
            & block[spread >> 43 & 7] >> (spread >> 37 & 63)
            & 1
        )

    cdef inline bint holds(self, bytes key) noexcept:
        return self.holds_code(crc32_of(<const unsigned char*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)))

    def add(self, bytes key not None):
        cdef uint32_t code = crc32_of(<const unsigned char*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
        cdef uint64_t spread = code * <uint64_t>0x9E3779B97F4A7C15
        cdef uint64_t* block = self.words + (<size_t>(code & self.block_mask) << 3)
        block[spread >> 61] |= <uint64_t>1 << (spread >> 55 & 63)
        block[spread >> 52 & 7] |= <uint64_t>1 << (spread >> 46 & 63)
        block[spread >> 43 & 7] |= <uint64_t>1 << (spread >> 37 & 63)
        self.added = True

    def may_hold(self, bytes key not None):
        return self.full or self.holds(key)

    def among(self, keys):
        """In groups: while the blocks of one are on their way to the processor, the others of it are hashed."""
        cdef list found = []
        cdef list asked
        cdef bytes key
        cdef uint32_t codes[AMONG_AT_ONCE]
        cdef Py_ssize_t first, i, count, total
        if not self.added and not self.full:
            return found
        asked = keys if type(keys) is list else list(keys)
        total = PyList_GET_SIZE(asked)
        for first in range(0, total, AMONG_AT_ONCE):
            count = min(total - first, AMONG_AT_ONCE)
            for i in range(first + AMONG_AT_ONCE, min(first + 2 * AMONG_AT_ONCE, total)):
                rd_prefetch(PyList_GET_ITEM(asked, i))
            for i in range(count):
                key = <object>PyList_GET_ITEM(asked, first + i)
                if key is None:
                    raise TypeError("keys must be bytes")
                codes[i] = crc32_of(<const unsigned char*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
                rd_prefetch(self.words + (<size_t>(codes[i] & self.block_mask) << 3))
            for i in range(count):
                if self.full or self.holds_code(codes[i]):
                    PyList_Append(found, <object>PyList_GET_ITEM(asked, first + i))
        return found


def keys_below(keys, int64_t below):
    cdef list found = []
    cdef bytes key
    for item in keys:
        key = item
        if key is None:
            raise TypeError("keys must be bytes")
        if crc32_of(<const unsigned char*>PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key)) < below:
            PyList_Append(found, key)
    return found
