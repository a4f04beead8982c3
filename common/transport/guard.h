/* guard.h - keeps two defects of NNG before 1.6 from doing harm to a process, whether it listens or dials, and quickens it.
 *
 *   1. A peer that leaves during the SP handshake kills the listener for good; anybody who can connect can do it. NNG takes the
 *      EPIPE of its hello for "the listener was closed" (mended upstream in 1.6.0, issue 1518).
 *   2. A pipe that is closed while the callback of a half-done read or write is on its way wedges NNG's reaper thread for ever:
 *      the callback asks for the rest, which a closing pipe refuses without a word, so that the pipe's own operation never ends,
 *      and the reaper waits for it. Every connection that ends afterwards leaks its descriptor and memory, departures go unseen,
 *      closing hangs (mended upstream in 1.6.0, issue 1636). Anybody who can connect can bring it about: by leaving with traffic
 *      in flight, by asking without reading until the server hangs up, by a message that makes the server hang up while it sends.
 *      So can a server that is killed, or answers by halves; the client then leaks a descriptor with each attempt to connect.
 *
 * Every read is done in two halves, size and body, so a pipe must only ever be closed where none is under way: by its own reading
 * side, after a read that has ended. The rules that keep it so:
 *   - NNG learns of whole messages only: of one that the socket took in part, the guard knows how much, and NNG finds the socket
 *     full. There are no half-done writes.
 *   - A write that fails reads as done, and the connection is shut down: the next read fails.
 *   - Errors and hang-ups are shown to NNG's poller as readable and writable: the read finds them first.
 *   - Who wants to end a connection uses jq_pipe_end() (see internal.h), not nng_pipe_close(): the guard shuts the connection down
 *     and has NNG's next read of it find its end. nng_pipe_close() is safe only before a pipe was started (NNG_PIPE_EV_ADD_PRE),
 *     nng_dialer_close(), which closes the pipe too, only where there is none (see dialers.c), and at no instant of a handshake at
 *     which NNG forgets the connection, open for ever: jq_guard_close_dialer() sees to that.
 *
 * It can also hold single connections to messages of a size (jq_guard_limit()), where NNG has one limit for all of a socket: it
 * follows what NNG reads, and ends a connection that announces more before NNG has seen the number.
 *
 * How: before main(), or when it is loaded, the guard puts its own functions in the place of some that NNG's library calls of the C
 * library (see guard_calls.h). Nobody else's calls are touched, which is why it can be a part of libjq: in a user's program only NNG's
 * calls change. guard_stream.h has those for connections, and does nothing for others than those of NNG's protocols; guard_handover.h
 * has those by which NNG's threads wake each other. It idles where the library that is loaded is 1.6 or newer, and where NNG is linked
 * statically and has no table of its own.
 */
#ifndef JQ_COMMON_TRANSPORT_GUARD_H
#define JQ_COMMON_TRANSPORT_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include <nng/nng.h>

/* True where the guard is at work in this process. */
bool jq_guard_active(void);

/* From now on the threads of NNG wake each other later and less often (see guard_handover.h), and it reads ahead (see guard_ahead.h): a
 * request costs a third less processor time. Nobody can tell but by that. */
void jq_guard_quicken(void);

/* For programs of our own, at the start of main(), before NNG is used; not for libraries. From now on NNG closes connections that
 * would take the last descriptors of the process, a quarter of them or 256 at most, which are kept for files: whoever can connect
 * could otherwise keep a broker from writing its journal. It makes two threads for callbacks, where it would make two for each
 * processor: in a process with one socket under load they mostly wait for that socket's lock and for each other, and two serve more
 * requests a second than four, let alone 64. And each of them does the next callback itself that follows from the one before, so
 * that a callback which does something long, or waits for anything but NNG, calls jq_guard_hand_over() first. */
void jq_guard_own_process(void);
void jq_guard_hand_over(void);

/* Around what makes NNG send several messages, or one message and then waits for the answer, which came if `answered`: NNG's threads
 * are not woken for what follows from each (see guard_handover.h). */
void jq_guard_begin_batch(void);
void jq_guard_end_batch(bool answered);

/* Ends a connection: NNG's own reading side finds its end, soon, and closes the pipe. False: not one that the guard watches over. */
bool jq_guard_end(nng_pipe pipe);

/* Holds a connection to messages of that size, what the protocol puts before the body and all: one that announces more is ended
 * before NNG takes memory for it. False: not one that the guard watches over. */
bool jq_guard_limit(nng_pipe pipe, size_t size_max);

/* Closes a dialer that has no pipe; it may be connecting. May wait for a moment, as nng_dialer_close() may. */
void jq_guard_close_dialer(nng_dialer dialer);

#endif
