# Hash of a key (SipHash-1-3, keyed per process against chosen collisions) and CRC16/XMODEM.
# The order of the hash cells is never visible, so the per-process key does not harm determinism.
# Sources: Aumasson and Bernstein, "SipHash", 2012; CRC polynomial 0x1021.

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint64_t rd_turn(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }
    typedef struct { uint64_t a, b, c, d; } rd_state;
    static inline void rd_round(rd_state *s) {
        s->a += s->b; s->c += s->d;
        s->b = rd_turn(s->b, 13) ^ s->a; s->d = rd_turn(s->d, 16) ^ s->c;
        s->a = rd_turn(s->a, 32);
        s->c += s->b; s->a += s->d;
        s->b = rd_turn(s->b, 17) ^ s->c; s->d = rd_turn(s->d, 21) ^ s->a;
        s->c = rd_turn(s->c, 32);
    }
    static inline uint32_t rd_hash(const char *text, Py_ssize_t size, uint64_t k0, uint64_t k1) {
        rd_state s = { k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
                       k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL };
        uint64_t word;
        Py_ssize_t left = size;
        uint32_t folded;
        for (; left >= 8; left -= 8, text += 8) {
            memcpy(&word, text, 8);
            s.d ^= word; rd_round(&s); s.a ^= word;
        }
        word = 0;
        memcpy(&word, text, (size_t)left);
        word ^= ((uint64_t)size) << 56;
        s.d ^= word; rd_round(&s); s.a ^= word;
        s.c ^= 0xff;
        rd_round(&s); rd_round(&s); rd_round(&s);
        word = s.a ^ s.b ^ s.c ^ s.d;
        folded = (uint32_t)(word ^ (word >> 32));
        return folded ? folded : 1;  /* 0 marks an empty cell */
    }
    """
    uint32_t rd_hash(const char* text, Py_ssize_t size, uint64_t k0, uint64_t k1) noexcept


cdef uint16_t CRC[256]


cdef void fill_crc() noexcept:
    cdef unsigned int byte, bit, crc
    for byte in range(256):
        crc = byte << 8
        for bit in range(8):
            crc = ((crc << 1) ^ 0x1021) if crc & 0x8000 else crc << 1
        CRC[byte] = <uint16_t>crc


fill_crc()


cdef inline unsigned int slot_of_text(const char* text, Py_ssize_t size) noexcept:
    """Redis Cluster's rule: only what stands in the first {...} counts, unless that is empty."""
    cdef const char* opening = <const char*>memchr(text, 123, size)
    cdef const char* closing
    cdef uint16_t crc = 0
    cdef Py_ssize_t i
    if opening != NULL:
        closing = <const char*>memchr(opening + 1, 125, size - (opening - text) - 1)
        if closing != NULL and closing != opening + 1:
            text = opening + 1
            size = closing - text
    for i in range(size):
        crc = <uint16_t>(<unsigned int>(crc << 8) ^ CRC[(crc >> 8) ^ <unsigned char>text[i]])
    return crc & 16383
