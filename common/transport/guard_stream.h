/* guard_stream.h - what the guard (see guard.h) knows of each stream socket of NNG's, and the calls that depend on it.
 *
 * A socket's entry begins anew with the hello, the first thing that NNG sends on every connection. NNG makes the calls for one
 * socket one at a time; ending it is possible from any thread meanwhile.
 */
#ifndef JQ_COMMON_TRANSPORT_GUARD_STREAM_H
#define JQ_COMMON_TRANSPORT_GUARD_STREAM_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef ssize_t guard_sendmsg_fn(int fd, const struct msghdr *message, int flags);
typedef ssize_t guard_readv_fn(int fd, const struct iovec *parts, int part_count);
typedef int guard_accept_fn(int fd, struct sockaddr *address, socklen_t *size);

/* Set by guard.c before main(). */
extern guard_accept_fn *guard_real_accept;

/* True for an address in NNG's code, where NNG is one that needs the guard. */
bool guard_called_by_nng(const void *return_address);

/* Sends all of a message or nothing, as far as the caller can tell: what the socket has taken of it is remembered, the call fails
 * with EAGAIN, and the next one, which must bring the same message, goes on from there. To a peer that is gone, or a connection
 * that was ended, a message reads as sent and a hello fails with ECONNRESET. */
ssize_t guard_stream_send(guard_sendmsg_fn *real_sendmsg, int fd, const struct msghdr *message, int flags);

/* Reads. Of a connection that was ended, its end; one that announces a message above its limit is ended here. */
ssize_t guard_stream_read(guard_readv_fn *real_readv, int fd, const struct iovec *parts, int part_count);

/* From the next message on; to be set first between the peer's hello and its first message. False: it is not watched over. */
bool guard_stream_limit(int fd, size_t size_max);

/* Ends the connection: reads find its end at once, messages read as sent. */
void guard_stream_end(int fd);

#endif
