/* guard.h - keeps two defects of NNG before 1.6 from being used against a process that listens.
 *
 *   1. A peer that leaves during the SP handshake kills the listener for good; anybody who can connect can do it. NNG takes the
 *      EPIPE of its hello for "the listener was closed" (mended upstream in 1.6.0, issue 1518).
 *   2. A pipe that is closed while the callback of a half-done read or write is on its way wedges NNG's reaper thread for ever:
 *      the callback asks for the rest, which a closing pipe refuses without a word, so that the pipe's own operation never ends,
 *      and the reaper waits for it. Every connection that ends afterwards leaks its descriptor and memory, departures go unseen,
 *      closing hangs (mended upstream in 1.6.0, issue 1636). Anybody who can connect can bring it about: by leaving with traffic
 *      in flight, by asking without reading until the server hangs up, by a message that makes the server hang up while it sends.
 *
 * Every read is done in two halves, size and body, so a pipe must only ever be closed where none is under way: by its own reading
 * side, after a read that has ended. The rules that keep it so:
 *   - NNG learns of whole messages only: of one that the socket took in part, the guard knows how much, and NNG finds the socket
 *     full. There are no half-done writes.
 *   - A write that fails reads as done, and the connection is shut down: the next read fails.
 *   - Errors and hang-ups are shown to NNG's poller as readable and writable: the read finds them first.
 *   - Who wants to end a connection uses jq_pipe_end() (see internal.h), not nng_pipe_close(): the guard shuts the connection down
 *     and has NNG's next read of it find its end. nng_pipe_close() is safe only before a pipe was started (NNG_PIPE_EV_ADD_PRE).
 *
 * It can also hold single connections to messages of a size (jq_pipe_limit() in internal.h), where NNG has one limit for all of a
 * socket: it follows what NNG reads, and ends a connection that announces more before NNG has seen the number.
 *
 * Besides, it closes connections that would take the last descriptors of the process, a quarter of them or 256 at most, which are
 * kept for files: whoever can connect could otherwise keep a broker from writing its journal. And it holds NNG to two threads for
 * callbacks, where NNG would make two for each processor: fewer fights for one lock.
 *
 * The guard interposes sendmsg(), readv(), accept(), epoll_wait(), getsockopt() and sysconf() of the C library for the whole
 * process, and acts only where NNG's own code calls them; every other caller gets the plain function. It is compiled in where
 * NNG's headers are older than 1.6, and idles where the library that is loaded is 1.6 or newer.
 *
 * Linked into jqbroker and jqworker alone, never into libjq: a library must not change its user's C library.
 */
#ifndef JQ_COMMON_TRANSPORT_GUARD_H
#define JQ_COMMON_TRANSPORT_GUARD_H

#include <stdbool.h>

/* True where the guard is at work in this process: for the line that is logged at the start. */
bool jq_guard_active(void);

#endif
