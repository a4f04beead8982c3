#include "common/transport/guard_stream.h"

#include <nng/nng.h>

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 6

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/transport/guard_ahead.h"
#include "common/transport/guard_parts.h"

enum {
    STREAMS_MAX =
        1 << 20, /* descriptors that Linux gives out unless told otherwise; memory that nobody touches is not used */
    FDS_KEPT_MAX = 256,
    QUIET_MOMENTS_MAX = 1000, /* a greeting lasts as long as it takes NNG to call a function on another thread */
    HELLO_SIZE = 8,
    HEAD_SIZE = 8,     /* of a message: the size of what follows, high byte first */
    IPC_HEAD_SIZE = 9, /* the same after a byte that is 1 */
};

/* Atomic because of the readers in other threads alone. */
struct stream {
    atomic_bool known; /* it began with a hello: not so what NNG carries for others over bare streams, by TLS or HTTP */
    atomic_uint taken; /* bytes of the message that is being sent which the kernel has */
    atomic_bool ended;
    atomic_bool dialled;
    atomic_bool greeting; /* see guard_stream_quiet_begin() */
    atomic_size_t limit;  /* of a message; 0: none, and of what is below only hello_got is kept */
    struct guard_ahead
        *_Atomic ahead; /* from the first message on; NULL: no memory. Of who reads, then of who closes */
    /* Who reads has the rest alone: NNG makes one read of a socket at a time. */
    unsigned hello_got; /* bytes of the other's hello */
    /* Of the message that is coming. */
    uint64_t left;     /* bytes of its body */
    uint64_t size;     /* by what has come of its head */
    unsigned head_got; /* bytes of its head; 0: between two messages */
    unsigned head_size;
};

static struct stream streams[STREAMS_MAX];
static atomic_bool reads_ahead;
static atomic_uint greeting_count; /* sockets in that state */
static atomic_uint quiet_count;    /* who wants that none begins */
static atomic_bool refused;        /* one that wanted to begin, and will try again at once */

/* NULL: not watched over. */
static struct stream *stream_of(int fd) {
    return fd >= 0 && fd < STREAMS_MAX ? &streams[fd] : NULL;
}

/* The first 8 bytes on every connection: 0 'S' 'P' 0, protocol (2 bytes), 0 0. */
static bool is_hello(const struct msghdr *message) {
    return message->msg_iovlen == 1 && message->msg_iov[0].iov_len == 8 &&
           memcmp(message->msg_iov[0].iov_base, "\0SP\0", 4) == 0;
}

static size_t message_size(const struct msghdr *message) {
    return guard_parts_size(message->msg_iov, message->msg_iovlen);
}

/* A write that fails for good must not close the pipe, which may be reading: it reads as done, and the reading side finds the
 * end of the connection and closes the pipe, alone. */
static ssize_t lost(int fd, const struct msghdr *message) {
    if (is_hello(message)) {
        errno = ECONNRESET; /* which NNG takes for the loss of this one connection */
        return -1;
    }
    shutdown(fd, SHUT_RDWR);
    return (ssize_t)message_size(message);
}

static bool is_passing(int reason) {
    return reason == EAGAIN || reason == EWOULDBLOCK || reason == EINTR;
}

/* NNG goes on with a message that was sent in part from a callback. A pipe that is closed while such a callback is on its way
 * leaves an operation that never ends. So NNG is told of whole messages only, and finds the socket full until then. */
static ssize_t send_rest(int fd, const struct msghdr *message, int flags) {
    struct stream *stream = &streams[fd];
    const size_t size = message_size(message);
    const size_t taken = atomic_load(&stream->taken);
    struct iovec parts[GUARD_PARTS_MAX];
    struct msghdr rest = *message;
    if (taken > 0) {
        rest.msg_iovlen = guard_parts_after(message->msg_iov, message->msg_iovlen, taken, parts);
        rest.msg_iov = parts;
    }
    const ssize_t sent = sendmsg(fd, &rest, flags);
    if (sent < 0) {
        return is_passing(errno) ? -1 : lost(fd, message);
    }
    const bool whole = taken + (size_t)sent >= size;
    atomic_store(&stream->taken, whole ? 0 : (unsigned)(taken + (size_t)sent));
    errno = EAGAIN;
    return whole ? (ssize_t)size : -1;
}

static void end_greeting(struct stream *stream) {
    if (atomic_exchange(&stream->greeting, false)) {
        atomic_fetch_sub(&greeting_count, 1);
    }
}

/* False, and EAGAIN: not now. */
static bool begin_greeting(struct stream *stream) {
    if (!atomic_load(&stream->dialled)) {
        return true;
    }
    if (!atomic_exchange(&stream->greeting, true)) {
        atomic_fetch_add(&greeting_count, 1);
    }
    if (atomic_load(&quiet_count) == 0) {
        return true;
    }
    end_greeting(stream);
    atomic_store(&refused, true);
    errno = EAGAIN;
    return false;
}

static void pause_for_a_moment(void) {
    const struct timespec moment = {.tv_nsec = 50000};
    nanosleep(&moment, NULL);
}

void guard_stream_quiet_begin(void) {
    atomic_fetch_add(&quiet_count, 1);
    for (int i = 0; i < QUIET_MOMENTS_MAX && atomic_load(&greeting_count) > 0; i++) {
        pause_for_a_moment();
    }
}

void guard_stream_quiet_end(void) {
    atomic_fetch_sub(&quiet_count, 1);
}

void guard_stream_before_poll(void) {
    if (atomic_exchange(&refused, false)) {
        pause_for_a_moment();
    }
}

static ssize_t send_hello(int fd, const struct msghdr *message, int flags) {
    struct stream *stream = &streams[fd];
    atomic_store(&stream->known, true);
    atomic_store(&stream->taken, 0);
    atomic_store(&stream->ended, false);
    atomic_store(&stream->limit, 0);
    stream->hello_got = 0;
    stream->left = 0;
    stream->head_got = 0;
    if (!begin_greeting(stream)) {
        return -1;
    }
    const ssize_t sent = sendmsg(fd, message, flags);
    if (sent >= 0) {
        return sent;
    }
    const int reason = errno;
    end_greeting(stream);
    errno = reason;
    return is_passing(reason) ? -1 : lost(fd, message);
}

ssize_t guard_stream_send(int fd, const struct msghdr *message, int flags) {
    const struct stream *stream = stream_of(fd);
    if (stream == NULL || message->msg_iovlen > GUARD_PARTS_MAX || message_size(message) > UINT32_MAX) {
        return sendmsg(fd, message, flags);
    }
    if (is_hello(message)) {
        return send_hello(fd, message, flags);
    }
    if (!atomic_load(&stream->known)) {
        return sendmsg(fd, message, flags);
    }
    if (atomic_load(&stream->ended)) {
        return (ssize_t)message_size(message);
    }
    return send_rest(fd, message, flags);
}

/* The system gives out the lowest descriptor that is free: the number tells how many are taken. */
static bool is_kept_for_files(int fd) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return false;
    }
    const rlim_t quarter = limit.rlim_cur / 4;
    return (rlim_t)fd >= limit.rlim_cur - (quarter < FDS_KEPT_MAX ? quarter : (rlim_t)FDS_KEPT_MAX);
}

int guard_stream_accept(int fd, struct sockaddr *address, socklen_t *size) {
    const int accepted = accept(fd, address, size);
    if (accepted < 0 || !is_kept_for_files(accepted)) {
        return accepted;
    }
    close(accepted);
    errno = EAGAIN; /* NNG looks after its other sockets before it takes the next. */
    return -1;
}

int guard_stream_connect(int fd, const struct sockaddr *address, socklen_t size) {
    struct stream *stream = stream_of(fd);
    if (stream != NULL) {
        atomic_store(&stream->dialled, true);
    }
    return connect(fd, address, size);
}

int guard_stream_shutdown(int fd, int how) {
    struct stream *stream = stream_of(fd);
    if (stream != NULL && atomic_load(&stream->known)) {
        end_greeting(stream);
    }
    return shutdown(fd, how);
}

int guard_stream_close(int fd) {
    struct stream *stream = stream_of(fd);
    if (stream != NULL && (atomic_load(&stream->known) || atomic_load(&stream->dialled))) {
        atomic_store(&stream->known, false);
        atomic_store(&stream->dialled, false);
        end_greeting(stream);
        guard_ahead_free(atomic_exchange(&stream->ahead, NULL));
    }
    return close(fd);
}

/* NNG asks for a head, and once it has all of it, for the body. False: the head is whole, and announces too much. */
static bool follow_head(struct stream *stream, const struct iovec *part, size_t count) {
    const uint8_t *bytes = part->iov_base;
    if (stream->head_got == 0) {
        stream->head_size = part->iov_len == IPC_HEAD_SIZE ? IPC_HEAD_SIZE : HEAD_SIZE;
        stream->size = 0;
    }
    for (size_t i = 0; i < count; i++) {
        const bool is_kind = stream->head_size == IPC_HEAD_SIZE && stream->head_got == 0;
        stream->size = is_kind ? 0 : stream->size << 8 | bytes[i];
        stream->head_got++;
    }
    if (stream->head_got < stream->head_size) {
        return true;
    }
    stream->head_got = 0;
    stream->left = stream->size;
    return stream->size <= atomic_load(&stream->limit);
}

static bool follow(struct stream *stream, const struct iovec *parts, size_t count) {
    if (stream->left == 0) {
        return follow_head(stream, &parts[0], count);
    }
    stream->left -= count < stream->left ? count : stream->left;
    return true;
}

static ssize_t read_hello(int fd, const struct iovec *parts, int part_count) {
    struct stream *stream = &streams[fd];
    if (!begin_greeting(stream)) {
        return -1;
    }
    const ssize_t count = readv(fd, parts, part_count);
    if (count > 0) {
        stream->hello_got += (unsigned)count;
        return count;
    }
    const int reason = errno;
    end_greeting(stream);
    errno = reason;
    return count;
}

static ssize_t read_message(struct stream *stream, int fd, const struct iovec *parts, int part_count) {
    struct guard_ahead *ahead = atomic_load(&stream->ahead);
    if (ahead == NULL && atomic_load(&reads_ahead)) {
        ahead = guard_ahead_new();
        atomic_store(&stream->ahead, ahead);
    }
    return ahead != NULL ? guard_ahead_read(ahead, fd, parts, part_count) : readv(fd, parts, part_count);
}

ssize_t guard_stream_read(int fd, const struct iovec *parts, int part_count) {
    struct stream *stream = stream_of(fd);
    if (stream == NULL || !atomic_load(&stream->known)) {
        return readv(fd, parts, part_count);
    }
    if (stream->hello_got < HELLO_SIZE) {
        return read_hello(fd, parts, part_count);
    }
    end_greeting(stream);
    if (atomic_load(&stream->ended)) {
        return 0;
    }
    const ssize_t count = read_message(stream, fd, parts, part_count);
    if (count > 0 && atomic_load(&stream->limit) > 0 && !follow(stream, parts, (size_t)count)) {
        (void)guard_stream_end(fd);
        return 0;
    }
    return count;
}

void guard_stream_begin_ahead(void) {
    atomic_store(&reads_ahead, true);
}

bool guard_stream_limit(int fd, size_t size_max) {
    struct stream *stream = stream_of(fd);
    const bool known = stream != NULL && atomic_load(&stream->known);
    if (known) {
        atomic_store(&stream->limit, size_max);
    }
    return known;
}

bool guard_stream_end(int fd) {
    struct stream *stream = stream_of(fd);
    if (stream == NULL || !atomic_load(&stream->known)) {
        return false;
    }
    atomic_store(&stream->ended, true);
    shutdown(fd, SHUT_RDWR);
    return true;
}

#endif
