# Arrays that are accessed at random. The large ones ask for large pages: else most of an access's cost
# is the look-up of its page.

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif
    #if defined(MADV_HUGEPAGE)
    #define RD_MAPPED_BYTES_MIN ((size_t)2 << 20)  /* a large page */
    #else
    #define RD_MAPPED_BYTES_MIN SIZE_MAX
    #endif

    /* Zeros that begin with a line of the processor's cache; NULL without memory. */
    static void *rd_array(size_t size) {
        void *at = NULL;
    #if defined(MADV_HUGEPAGE)
        if (size >= RD_MAPPED_BYTES_MIN) {
            at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (at == MAP_FAILED) return NULL;
            (void)madvise(at, size, MADV_HUGEPAGE);
            return at;
        }
    #endif
        return posix_memalign(&at, 64, size) ? NULL : memset(at, 0, size);
    }

    static void rd_drop_array(void *at, size_t size) {
    #if defined(MADV_HUGEPAGE)
        if (size >= RD_MAPPED_BYTES_MIN) {
            if (at != NULL) (void)munmap(at, size);
            return;
        }
    #endif
        free(at);
    }
    """
    void* rd_array(size_t size) noexcept
    void rd_drop_array(void* at, size_t size) noexcept
