/* guard_stream.h - what the guard (see guard.h) knows of each stream socket of NNG's, and the calls that depend on it.
 *
 * A socket's entry begins with the hello, the first thing that NNG sends on every connection, and ends when NNG closes it. Without
 * one (NNG carries bare streams, TLS and HTTP, too) the calls do what the C library's do. NNG makes the calls for one socket one at
 * a time; ending it is possible from any thread meanwhile.
 */
#ifndef JQ_COMMON_TRANSPORT_GUARD_STREAM_H
#define JQ_COMMON_TRANSPORT_GUARD_STREAM_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Sends all of a message or nothing, as far as the caller can tell: what the socket has taken of it is remembered, the call fails
 * with EAGAIN, and the next one, which must bring the same message, goes on from there. To a peer that is gone, or a connection
 * that was ended, a message reads as sent and a hello fails with ECONNRESET. */
ssize_t guard_stream_send(int fd, const struct msghdr *message, int flags);

/* Reads. Of a connection that was ended, its end; one that announces a message above its limit is ended here. */
ssize_t guard_stream_read(int fd, const struct iovec *parts, int part_count);

/* Accepts, but closes a connection at once that would take a descriptor which is kept for files: EAGAIN. */
int guard_stream_accept(int fd, struct sockaddr *address, socklen_t *size);

/* Connects, and knows who dialled. */
int guard_stream_connect(int fd, const struct sockaddr *address, socklen_t size);

/* Shuts down: NNG has this connection in hand, and is about to close it. */
int guard_stream_shutdown(int fd, int how);

/* Closes, and forgets what is known. */
int guard_stream_close(int fd);

/* From now on reads ahead (see guard_ahead.h). */
void guard_stream_begin_ahead(void);

/* From the next message on; to be set first between the peer's hello and its first message. False: it is not watched over. */
bool guard_stream_limit(int fd, size_t size_max);

/* Ends the connection: reads find its end at once, messages read as sent. False: it is not watched over. */
bool guard_stream_end(int fd);

/* A connection that was dialled is greeting between its hello and NNG's first read, and between the peer's hello and NNG's next read: a function of
 * NNG's is then on its way, and finds an endpoint that was closed, where NNG forgets the connection, open for ever. Waits until none
 * is greeting, or about 100 ms if that lasts; until the end none begins: the socket seems to be full, or empty, until then. Any
 * thread, several at a time. */
void guard_stream_quiet_begin(void);
void guard_stream_quiet_end(void);

/* For who asks which sockets are ready, with no lock held: gives others time to come to the end of the quiet. */
void guard_stream_before_poll(void);

#endif
