/* The guard against NNG before 1.6 leaves everybody else's system calls alone. What it does for NNG: test_transport_regression.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/transport/guard.h"

static ssize_t send_text(int fd, const char *text, size_t size) {
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = size};
    const struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* A caller other than NNG is told that its peer is gone, even if what it sends looks like the hello of NNG. */
static void others_see_their_errors(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(send_text(fds[0], "hello", 5), 5);
    close(fds[1]);
    assert_int_equal(send_text(fds[0], "hello", 5), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(send_text(fds[0], "\0SP\0\0\x31\0\0", 8), -1);
    assert_int_equal(errno, EPIPE);
    close(fds[0]);
    assert_int_equal(send_text(-1, "hello", 5), -1);
    assert_int_equal(errno, EBADF);
}

/* A poller other than NNG's is shown a hang-up as a hang-up. */
static void others_see_hang_ups(void **state) {
    (void)state;
    int fds[2];
    const int poller = epoll_create1(EPOLL_CLOEXEC);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fds};
    assert_int_equal(epoll_ctl(poller, EPOLL_CTL_ADD, fds[0], &event), 0);
    close(fds[1]);
    assert_int_equal(epoll_wait(poller, &event, 1, -1), 1);
    assert_int_equal(event.events, EPOLLIN | EPOLLHUP);
    assert_ptr_equal(event.data.ptr, fds);
    close(fds[0]);
    assert_int_equal(epoll_wait(poller, &event, 1, 0), 0);
    assert_int_equal(epoll_wait(-1, &event, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    close(poller);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_see_their_errors),
        cmocka_unit_test(others_see_hang_ups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
