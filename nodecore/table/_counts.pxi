# How often each key was used, see ``key_counts``: cells in order of arrival, found by the hash that
# a key's object keeps.

cdef struct KeyCount:
    PyObject* key  # owned
    Py_hash_t code
    uint32_t total
    uint32_t writes


@cython.final
@cython.no_gc
cdef class CompiledKeyCounts:
    cdef KeyCount* counts
    cdef uint32_t* places
    cdef size_t mask
    cdef Py_ssize_t used
    cdef readonly int64_t total, writes

    def __cinit__(self):
        self.counts = <KeyCount*>malloc(CELLS_MIN * sizeof(KeyCount))
        self.places = <uint32_t*>calloc(2 * CELLS_MIN, sizeof(uint32_t))
        if self.counts == NULL or self.places == NULL:
            raise MemoryError()
        self.mask = 2 * CELLS_MIN - 1

    def __dealloc__(self):
        self.release()
        free(self.counts)
        free(self.places)

    cdef void release(self) noexcept:
        cdef Py_ssize_t i
        for i in range(self.used):
            Py_DECREF(<object>self.counts[i].key)
        self.used = 0

    def __len__(self):
        return self.used

    def clear(self):
        self.release()
        memset(self.places, 0, (self.mask + 1) * sizeof(uint32_t))
        self.total = self.writes = 0

    cdef int grow(self) except -1:
        """Twice the room: places stay at most half full."""
        cdef size_t room = (self.mask + 1) * 2, i
        cdef uint32_t* places = <uint32_t*>calloc(room, sizeof(uint32_t))
        cdef KeyCount* counts = <KeyCount*>realloc(self.counts, (room >> 1) * sizeof(KeyCount))
        cdef Py_ssize_t number
        if counts != NULL:
            self.counts = counts
        if places == NULL or counts == NULL:
            free(places)
            raise MemoryError()
        free(self.places)
        self.places, self.mask = places, room - 1
        for number in range(self.used):
            i = <size_t>counts[number].code & self.mask
            while places[i]:
                i = (i + 1) & self.mask
            places[i] = <uint32_t>(number + 1)
        return 0

    cdef inline KeyCount* of(self, bytes key) except NULL:
        """The cell of a key, made when there is none."""
        cdef Py_hash_t code = PyObject_Hash(key)
        cdef size_t i = <size_t>code & self.mask
        cdef KeyCount* found
        while self.places[i]:
            found = &self.counts[self.places[i] - 1]
            if found.key == <PyObject*>key or (found.code == code and <bytes>found.key == key):
                return found
            i = (i + 1) & self.mask
        if <size_t>self.used * 2 > self.mask:
            self.grow()
            i = <size_t>code & self.mask
            while self.places[i]:
                i = (i + 1) & self.mask
        found = &self.counts[self.used]
        found.key, found.code, found.total, found.writes = <PyObject*>key, code, 0, 0
        Py_INCREF(key)
        self.used += 1
        self.places[i] = <uint32_t>self.used
        return found

    def add(self, touched, written):
        cdef bytes key
        for item in touched:
            key = item
            if key is None:
                raise TypeError("keys must be bytes")
            self.of(key).total += 1
            self.total += 1
        for item in written:
            key = item
            if key is None:
                raise TypeError("keys must be bytes")
            self.of(key).writes += 1
            self.writes += 1

    def heaviest(self, Py_ssize_t count_max):
        cdef list heavy = []
        cdef KeyCount* count
        cdef uint32_t* sorted_totals
        cdef uint32_t least = 0
        cdef Py_ssize_t i, room = count_max
        if self.used > count_max:
            sorted_totals = <uint32_t*>malloc(self.used * sizeof(uint32_t))
            if sorted_totals == NULL:
                raise MemoryError()
            for i in range(self.used):
                sorted_totals[i] = self.counts[i].total
            qsort(sorted_totals, self.used, sizeof(uint32_t), descending)
            least = sorted_totals[count_max] if count_max >= 0 else sorted_totals[0]
            for i in range(max(0, count_max)):
                if sorted_totals[i] > least:
                    room -= 1
            free(sorted_totals)
        for i in range(self.used):
            count = &self.counts[i]
            if count.total > least:
                PyList_Append(heavy, (<bytes>count.key, count.total, count.writes))
            elif count.total == least and least and room > 0:
                room -= 1
                PyList_Append(heavy, (<bytes>count.key, count.total, count.writes))
        heavy.sort(key=weight_of, reverse=True)
        return heavy


cdef int descending(const void* one, const void* other) noexcept nogil:
    cdef uint32_t first = (<const uint32_t*>one)[0], second = (<const uint32_t*>other)[0]
    return (first < second) - (first > second)
