/* crc32c.h - CRC-32C (Castagnoli), as in iSCSI, RFC 3720 section 12.1 and appendix B.4.
 *
 * jq_crc32c(0, "123456789", 9) == 0xE3069283, and the crc of a text is the crc of its parts in a chain:
 * jq_crc32c(jq_crc32c(0, a), b) == jq_crc32c(0, a followed by b).
 */
#ifndef JQ_COMMON_CRC32C_H
#define JQ_COMMON_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* By the processor's instruction where it has one, else by tables. `seed` is 0, or the crc of what came before. */
uint32_t jq_crc32c(uint32_t seed, const void *data, size_t size);

/* The same by tables, on any machine. */
uint32_t jq_crc32c_portable(uint32_t seed, const void *data, size_t size);

/* What jq_crc32c() uses here: "sse4.2", "armv8" or "tables". */
const char *jq_crc32c_method(void);

#endif
