/* wire.h - the packets between the worker and a zygote (runner.py): one JSON object each, with descriptors beside it. */
#ifndef JQ_WORKER_FREECAD_WIRE_H
#define JQ_WORKER_FREECAD_WIRE_H

#include "common/err.h"
#include "common/types.h"

#include <stdbool.h>
#include <stdint.h>

enum { JQ_WIRE_PACKET_SIZE_MAX = 64 * 1024, JQ_WIRE_FD_COUNT_MAX = 16, JQ_WIRE_TEXT_SIZE = 160 };

enum jq_wire_op {
    JQ_WIRE_NONE,
    JQ_WIRE_HELLO,   /* pid, threads, freecad, missing */
    JQ_WIRE_STARTED, /* id, pid, and a pidfd */
    JQ_WIRE_EXIT,    /* id, status, utime_us, stime_us, maxrss_kib */
    JQ_WIRE_REFUSED, /* id, why, threads: above 1, it can fork no more */
    JQ_WIRE_PONG,    /* id, threads */
};

/* What came from the zygote. Numbers that a packet does not have are 0. */
struct jq_wire_message {
    enum jq_wire_op op;
    int64_t id;
    int64_t pid;
    int64_t status;
    int64_t utime_us;
    int64_t stime_us;
    int64_t maxrss_kib;
    int64_t threads;
    char text[JQ_WIRE_TEXT_SIZE];    /* `freecad` or `why` */
    char missing[JQ_WIRE_TEXT_SIZE]; /* the first module that did not load, and why; "" if all did */
};

/* JQ_ERR_PROTOCOL for what is not one of these messages. Pure. */
enum jq_err jq_wire_parse(struct jq_str text, struct jq_wire_message *ret_message, struct jq_error *reterr);

/* Sends one packet with `fd_count` descriptors, without waiting. JQ_ERR_BUSY when the socket is full, JQ_ERR_CLOSED when the zygote
 * has gone. */
enum jq_err jq_wire_send(int fd, struct jq_bytes packet, const int *fds, unsigned fd_count, struct jq_error *reterr);

/* Takes one packet, without waiting. *ret_fd: the descriptor that came with it (the caller's), or -1; more than one is not the
 * protocol. JQ_ERR_BUSY when there is none now, JQ_ERR_CLOSED at the end. */
enum jq_err jq_wire_receive(int fd, struct jq_wire_message *ret_message, int *ret_fd, struct jq_error *reterr);

#endif
