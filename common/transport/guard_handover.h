/* guard_handover.h - how the threads of NNG before 1.6 hand work to each other, without the wake-ups that nobody needs.
 *
 * NNG runs callbacks on a few threads that take tasks from a queue. Who adds a task wakes one of them at once, while it holds the
 * queue's lock and as a rule the lock of a connection: the woken thread finds one or the other taken, sleeps again, and has to be woken
 * a second time. And a thread of the queue wakes another one for the task that it could take next itself, having done its own: most of
 * the work for one message is a chain of such tasks. Here
 *   - a thread is woken when who adds the task has given back all of NNG's locks;
 *   - where the process says so (jq_guard_own_process()), a thread of the queue keeps one task for itself: it wakes nobody for it, and
 *     comes back to the queue soon. Before long work, and before it waits, it hands it over;
 *   - who sends several messages, or one for whose answer it waits, and the poller, which may find several sockets ready, wake others
 *     once, when they are done, or not at all where the answer's coming has woken them.
 * Measured by an echo over loopback, 2 cores of a virtual machine, one request at a time: of the server's 18 switches from thread to
 * thread 8 are left by the first rule, and 4 by both; of its 158 us of processor time for a request 104, and 75.
 *
 * All of it are stand-ins for calls that NNG makes (see guard.h). They do what the C library's do, but for signals to the condition
 * on which the threads of the queue wait.
 */
#ifndef JQ_COMMON_TRANSPORT_GUARD_HANDOVER_H
#define JQ_COMMON_TRANSPORT_GUARD_HANDOVER_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

int guard_handover_set_name(pthread_t thread, const char *name);
int guard_handover_lock(pthread_mutex_t *mutex);
int guard_handover_unlock(pthread_mutex_t *mutex);
int guard_handover_signal(pthread_cond_t *condition);
int guard_handover_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int guard_handover_timed_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);

/* From now on by the first rule, or by both; before, by none. */
void guard_handover_begin_late(void);
void guard_handover_begin_keeping(void);

/* Wakes a thread for the task that this one keeps. */
void guard_handover_now(void);

/* Between these this thread wakes nobody for the tasks it adds, but at the end for all of them, or at 16; or where it waits for more
 * than 5 ms. `served`: something has come to this thread meanwhile by way of the queue, which went past them. */
void guard_handover_begin_batch(void);
void guard_handover_end_batch(bool served);

#endif
