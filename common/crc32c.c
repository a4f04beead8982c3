#include "common/crc32c.h"

#include <endian.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/* The polynomial 0x1EDC6F41, bits reversed. */
#define POLYNOMIAL UINT32_C(0x82f63b78)

/* Row 0: the crc of one byte; row k: of that byte with k zero bytes behind it ("slicing-by-8": Kounavis, Berry, "A
 * systematic approach to building high performance software-based CRC generators", 2005). */
static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
        table[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        for (int row = 1; row < 8; row++)
            table[row][byte] = (table[row - 1][byte] >> 8) ^ table[0][table[row - 1][byte] & 0xff];
    }
}

static inline uint64_t load64(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

static uint32_t slice_word(uint32_t crc, uint64_t word) {
    word ^= crc;
    uint32_t next = 0;
    for (int i = 0; i < 8; i++)
        next ^= table[7 - i][(word >> (8 * i)) & 0xff];
    return next;
}

uint32_t jq_crc32c_portable(uint32_t seed, const void *data, size_t size) {
    pthread_once(&table_once, fill_table);
    const uint8_t *at = data;
    uint32_t crc = ~seed;
    for (; size >= 8; size -= 8, at += 8)
        crc = slice_word(crc, load64(at));
    for (; size > 0; size--, at++)
        crc = (crc >> 8) ^ table[0][(crc ^ *at) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)

#include <cpuid.h>
#include <nmmintrin.h>
#include <wmmintrin.h>

#define SSE __attribute__((target("sse4.2,crc32,pclmul")))

/* The crc instruction takes 3 cycles but one can start in every cycle: three lanes side by side. Then the lanes are
 * joined: the crc of a lane with n more bytes behind it is crc * x^(8n) mod P. The carry-less product with x^(8n - 33)
 * mod P, reduced by the crc instruction (which multiplies by x^32; one more x comes from the reversed bits), gives just
 * that (Gopal et al., "Fast CRC computation for iSCSI polynomial using CRC32 instruction", Intel, 2011). */
struct lanes {
    size_t size;        /* of one lane, bytes; a multiple of 8 */
    uint32_t shift_one; /* x^(8 size - 33) mod P, bits reversed */
    uint32_t shift_two; /* x^(16 size - 33) mod P, bits reversed */
};
static const struct lanes wide = {2048, 0xa51b6135, 0x82f89c77};
static const struct lanes narrow = {256, 0xb9e02b86, 0xdd7e3b0c};

SSE static inline uint64_t multiply(uint64_t crc, uint32_t factor) {
    const __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128((long long)factor), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

SSE static inline uint64_t three_lanes(uint64_t crc, const uint8_t *at, const struct lanes *lanes) {
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < lanes->size; i += 8) {
        crc = _mm_crc32_u64(crc, load64(at + i));
        second = _mm_crc32_u64(second, load64(at + lanes->size + i));
        third = _mm_crc32_u64(third, load64(at + 2 * lanes->size + i));
    }
    return _mm_crc32_u64(0, multiply(crc, lanes->shift_two) ^ multiply(second, lanes->shift_one)) ^ third;
}

SSE static uint32_t crc32c_sse(uint32_t seed, const void *data, size_t size) {
    const uint8_t *at = data;
    uint64_t crc = (uint32_t)~seed;
    for (; size >= 3 * wide.size; size -= 3 * wide.size, at += 3 * wide.size)
        crc = three_lanes(crc, at, &wide);
    for (; size >= 3 * narrow.size; size -= 3 * narrow.size, at += 3 * narrow.size)
        crc = three_lanes(crc, at, &narrow);
    for (; size >= 8; size -= 8, at += 8)
        crc = _mm_crc32_u64(crc, load64(at));
    for (; size > 0; size--, at++)
        crc = _mm_crc32_u8((uint32_t)crc, *at);
    return (uint32_t)~crc;
}

static bool has_hardware(void) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_SSE4_2) && (ecx & bit_PCLMUL);
}

#define HARDWARE      crc32c_sse
#define HARDWARE_NAME "sse4.2"

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

static uint32_t crc32c_arm(uint32_t seed, const void *data, size_t size) {
    const uint8_t *at = data;
    uint32_t crc = ~seed;
    for (; size >= 8; size -= 8, at += 8)
        crc = __crc32cd(crc, load64(at));
    for (; size > 0; size--, at++)
        crc = __crc32cb(crc, *at);
    return ~crc;
}

static bool has_hardware(void) {
    return true;
}

#define HARDWARE      crc32c_arm
#define HARDWARE_NAME "armv8"

#else

static bool has_hardware(void) {
    return false;
}

#define HARDWARE      jq_crc32c_portable
#define HARDWARE_NAME "tables"

#endif

static bool hardware;
static pthread_once_t hardware_once = PTHREAD_ONCE_INIT;

static void probe_hardware(void) {
    hardware = has_hardware();
}

uint32_t jq_crc32c(uint32_t seed, const void *data, size_t size) {
    pthread_once(&hardware_once, probe_hardware);
    return hardware ? HARDWARE(seed, data, size) : jq_crc32c_portable(seed, data, size);
}

const char *jq_crc32c_method(void) {
    pthread_once(&hardware_once, probe_hardware);
    return hardware ? HARDWARE_NAME : "tables";
}
