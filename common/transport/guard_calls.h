/* guard_calls.h - redirects the calls that NNG makes of other libraries.
 *
 * A shared library calls others by a table of addresses, which the loader fills in by relocations (System V ABI, chapter "Dynamic
 * Linking"). Here addresses in the table of NNG's library are replaced; nobody else's calls are touched.
 */
#ifndef JQ_COMMON_TRANSPORT_GUARD_CALLS_H
#define JQ_COMMON_TRANSPORT_GUARD_CALLS_H

#include <stdbool.h>
#include <stddef.h>

struct guard_stand_in {
    const char *name; /* of the function that NNG calls */
    void (*function)(void);
};

/* From now on NNG calls these instead: all of them, or, if there is one that it does not call, or no table, none. */
bool guard_calls_redirect(const struct guard_stand_in *stand_ins, size_t count);

#endif
