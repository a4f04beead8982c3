#define _GNU_SOURCE
#include "worker/freecad/wire.h"

#include "common/buf.h"
#include "common/json_read.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct reading {
    struct jq_wire_message message;
    unsigned depth;
    char key[16];
};

static enum jq_wire_op op_of(struct jq_str name) {
    static const struct {
        const char *name;
        enum jq_wire_op op;
    } ops[] = {
        {"hello", JQ_WIRE_HELLO},     {"started", JQ_WIRE_STARTED}, {"exit", JQ_WIRE_EXIT},
        {"refused", JQ_WIRE_REFUSED}, {"pong", JQ_WIRE_PONG},
    };
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (jq_str_equal(jq_str_of(ops[i].name), name)) {
            return ops[i].op;
        }
    }
    return JQ_WIRE_NONE;
}

static void take_number(struct reading *reading, int64_t number) {
    struct jq_wire_message *message = &reading->message;
    const struct {
        const char *key;
        int64_t *place;
    } numbers[] = {
        {"id", &message->id},
        {"pid", &message->pid},
        {"status", &message->status},
        {"utime_us", &message->utime_us},
        {"stime_us", &message->stime_us},
        {"maxrss_kib", &message->maxrss_kib},
        {"threads", &message->threads},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(numbers[i].key, reading->key) == 0) {
            *numbers[i].place = number;
        }
    }
}

static void take_text(struct reading *reading, struct jq_str text) {
    struct jq_wire_message *message = &reading->message;
    char *place = NULL;
    if (strcmp(reading->key, "op") == 0) {
        message->op = op_of(text);
    } else if (strcmp(reading->key, "freecad") == 0 || strcmp(reading->key, "why") == 0) {
        place = message->text;
    } else if (strcmp(reading->key, "missing") == 0 && message->missing[0] == '\0') {
        place = message->missing;
    }
    if (place != NULL) {
        (void)snprintf(place, JQ_WIRE_TEXT_SIZE, "%.*s", (int)(text.size < 150 ? text.size : 150), text.data);
    }
}

static enum jq_err take_part(void *ctx, const struct jq_json_part *part, struct jq_error *reterr) {
    struct reading *reading = ctx;
    switch (part->kind) {
    case JQ_JSON_OBJECT_BEGIN:
    case JQ_JSON_ARRAY_BEGIN:
        if (reading->depth == 0 && part->kind == JQ_JSON_ARRAY_BEGIN) {
            return jq_fail(reterr, JQ_ERR_PROTOCOL, "zygote: packet is no object");
        }
        reading->depth++;
        return JQ_OK;
    case JQ_JSON_OBJECT_END:
    case JQ_JSON_ARRAY_END: reading->depth--; return JQ_OK;
    case JQ_JSON_KEY:
        if (reading->depth == 1) {
            (void)snprintf(reading->key, sizeof(reading->key), "%.*s", JQ_STR_ARG(part->text));
        }
        return JQ_OK;
    case JQ_JSON_INT:
        if (reading->depth == 1) {
            take_number(reading, part->number);
        }
        return JQ_OK;
    case JQ_JSON_STR: take_text(reading, part->text); return JQ_OK;
    default: return JQ_OK;
    }
}

enum jq_err jq_wire_parse(struct jq_str text, struct jq_wire_message *ret_message, struct jq_error *reterr) {
    struct reading reading = {.depth = 0};
    struct jq_error error;
    if (jq_json_read(text, JQ_WIRE_PACKET_SIZE_MAX, take_part, &reading, &error) != JQ_OK) {
        return jq_fail(reterr, JQ_ERR_PROTOCOL, "zygote: %.200s", error.message);
    }
    if (reading.message.op == JQ_WIRE_NONE || reading.message.pid < 0 || reading.message.pid > INT32_MAX ||
        reading.message.status < 0 || reading.message.status > UINT16_MAX) {
        return jq_fail(reterr, JQ_ERR_PROTOCOL, "zygote: packet that is no message");
    }
    *ret_message = reading.message;
    return JQ_OK;
}

enum jq_err jq_wire_send(int fd, struct jq_bytes packet, const int *fds, unsigned fd_count, struct jq_error *reterr) {
    JQ_CHECK(fd_count <= JQ_WIRE_FD_COUNT_MAX);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(JQ_WIRE_FD_COUNT_MAX * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)packet.data, .iov_len = packet.size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
    }
    const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == (ssize_t)packet.size) {
        return JQ_OK;
    }
    if (errno == EAGAIN || errno == ENOBUFS) {
        return jq_fail(reterr, JQ_ERR_BUSY, "zygote: does not read its socket");
    }
    if (errno == EPIPE || errno == ECONNRESET) {
        return jq_fail(reterr, JQ_ERR_CLOSED, "zygote: gone");
    }
    return jq_fail_errno(reterr, errno, "zygote: send");
}

/* Keeps the first descriptor, closes the others; false if there were others. */
static bool take_fds(struct msghdr *message, int *ret_fd) {
    unsigned count = 0;
    *ret_fd = -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + at, sizeof(fd));
            if (count++ == 0) {
                *ret_fd = fd;
            } else {
                (void)close(fd);
            }
        }
    }
    return count <= 1;
}

static enum jq_err fail_receive(struct jq_error *reterr) {
    if (errno == EAGAIN || errno == EINTR) {
        return jq_fail(reterr, JQ_ERR_BUSY, "zygote: no packet");
    }
    return errno == ECONNRESET ? jq_fail(reterr, JQ_ERR_CLOSED, "zygote: gone")
                               : jq_fail_errno(reterr, errno, "zygote: receive");
}

enum jq_err jq_wire_receive(int fd, struct jq_wire_message *ret_message, int *ret_fd, struct jq_error *reterr) {
    char text[4096];
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(JQ_WIRE_FD_COUNT_MAX * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = text, .iov_len = sizeof(text)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    const ssize_t size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) {
        return fail_receive(reterr);
    }
    int passed = -1;
    const bool fds_fine = take_fds(&message, &passed);
    enum jq_err err = JQ_OK;
    if (size == 0) {
        err = jq_fail(reterr, JQ_ERR_CLOSED, "zygote: gone");
    } else if (!fds_fine || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        err = jq_fail(reterr, JQ_ERR_PROTOCOL, "zygote: packet too large");
    } else {
        err = jq_wire_parse((struct jq_str){text, (size_t)size}, ret_message, reterr);
    }
    if (err != JQ_OK && passed >= 0) {
        (void)close(passed);
        return err;
    }
    *ret_fd = err == JQ_OK ? passed : *ret_fd;
    return err;
}
