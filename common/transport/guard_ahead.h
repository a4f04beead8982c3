/* guard_ahead.h - reads a stream ahead of what NNG before 1.6 asks for, which is the head of a message, then its body, then the head
 * of the next until the socket is found empty: three system calls for a message. Ahead, one does for it, and for the small ones that
 * stand behind it.
 *
 * Calls for one stream come one at a time.
 */
#ifndef JQ_COMMON_TRANSPORT_GUARD_AHEAD_H
#define JQ_COMMON_TRANSPORT_GUARD_AHEAD_H

#include <sys/types.h>
#include <sys/uio.h>

struct guard_ahead; /* Opaque. What has been read of a stream and not been asked for. */

/* NULL without memory. */
struct guard_ahead *guard_ahead_new(void);
void guard_ahead_free(struct guard_ahead *ahead);

/* As readv() of a socket that does not block, for who waits for it to be readable when told EAGAIN: which it may be told before the
 * socket was asked, if the last call found less there than it had room for. */
ssize_t guard_ahead_read(struct guard_ahead *ahead, int fd, const struct iovec *parts, int part_count);

#endif
