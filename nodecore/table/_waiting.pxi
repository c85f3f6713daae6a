# Uses that wait until some have come together, or something else happens to the order: what each of them
# looks at arrives in the processor's caches meanwhile, and work for many at once is cheaper.

cdef enum:
    WAITING = 12
agree("USES_WAITING_MAX", WAITING, USES_WAITING_MAX)


cdef struct WaitingUse:
    PyObject* entry  # owned
    uint32_t code  # of its cell
    uint32_t key_code  # its key's print, where a sketch counts


cdef struct WaitingUses:
    WaitingUse uses[WAITING]
    int count


cdef inline bint let_wait(WaitingUses* waiting, Entry entry, uint32_t code, uint32_t key_code) noexcept:
    """There must be room for a use; returns whether there is none now."""
    cdef WaitingUse* use = &waiting.uses[waiting.count]
    Py_INCREF(entry)
    use.entry, use.code, use.key_code = <PyObject*>entry, code, key_code
    waiting.count += 1
    return waiting.count == WAITING


cdef void drop_waiting(WaitingUses* waiting) noexcept:
    while waiting.count:
        waiting.count -= 1
        Py_DECREF(<object>waiting.uses[waiting.count].entry)
