/* guard.h - keeps two defects of NNG before 1.6 from being used against a process that listens.
 *
 *   1. A peer that leaves during the SP handshake kills the listener for good; anybody who can connect can do it. NNG takes the
 *      EPIPE of its hello for "the listener was closed" (mended upstream in 1.6.0, issue 1518).
 *   2. A peer that is killed with traffic in flight can wedge NNG's reaper thread for ever: file descriptors leak, departures go
 *      unseen, closing hangs. The failed write closes the pipe while the callback of a read is still queued (mended upstream in
 *      1.6.0, issue 1636).
 *
 * Besides, it holds NNG to two threads for callbacks, where NNG would make two for each processor: fewer fights for one lock.
 *
 * The guard interposes sendmsg(), epoll_wait() and sysconf() of the C library for the whole process, and acts only where NNG's own
 * code calls them, the first two on a stream socket that it owns; every other caller gets the plain function. It is compiled in where NNG's headers are
 * older than 1.6, and idles where the library that is loaded is 1.6 or newer.
 *
 * Linked into jqbroker and jqworker alone, never into libjq: a library must not change its user's C library.
 */
#ifndef JQ_COMMON_TRANSPORT_GUARD_H
#define JQ_COMMON_TRANSPORT_GUARD_H

#include <stdbool.h>

/* True where the guard is at work in this process: for the line that is logged at the start. */
bool jq_guard_active(void);

#endif
