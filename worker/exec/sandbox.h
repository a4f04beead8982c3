/* sandbox.h - what a child may reach: files by Landlock, system calls by seccomp. Both bind it and everything it starts, for good.
 *
 * Files: a child reads the system (see sandbox_places.h), what its rules name, and nothing else;
 * it writes to its work dir, to what its rules name, and to harmless devices. From ABI 4 on it opens no TCP connection, from ABI 6 on
 * it reaches no abstract socket and signals no process outside of itself.
 * System calls: no socket() at all unless it has the network, and never what reaches into other processes or the kernel (ptrace,
 * mount, namespaces, keys, io_uring, bpf, modules and the like). They fail with EPERM, what a program can live without with ENOSYS.
 *
 * Sources: Documentation/userspace-api/landlock.rst and seccomp_filter.rst of Linux 6.12.
 */
#ifndef JQ_WORKER_EXEC_SANDBOX_H
#define JQ_WORKER_EXEC_SANDBOX_H

#include "common/err.h"

#include <stdbool.h>
#include <stddef.h>

struct sock_fprog;
struct jq_sandbox;

/* Absolute paths, each list ends with NULL; a list may be NULL. What does not exist is passed over. */
struct jq_sandbox_paths {
    const char *const *read;  /* files or folders: read and execute */
    const char *const *write; /* the same, and everything else */
};

/* Looks what the kernel can and compiles the filters. `system`: for every child, beside what the system is made of; copied. */
enum jq_err jq_sandbox_new(const struct jq_sandbox_paths *system, struct jq_sandbox **ret_sandbox,
                           struct jq_error *reterr);
void jq_sandbox_free(struct jq_sandbox *sandbox);

int jq_sandbox_landlock_abi(const struct jq_sandbox *sandbox); /* 0: the kernel has none */
bool jq_sandbox_filters(const struct jq_sandbox *sandbox);     /* the kernel has seccomp */

/* The rules of one child, as a descriptor to hand to landlock_restrict_self(); the caller closes it. They speak of the
 * files that are there at this moment. `work_fd`: its work dir, -1: none. *ret_fd is -1 on a kernel without Landlock. Not for two threads at once. */
enum jq_err jq_sandbox_rules(struct jq_sandbox *sandbox, int work_fd, const struct jq_sandbox_paths *paths,
                             const struct jq_sandbox_paths *more, bool network, int *ret_fd, struct jq_error *reterr);

/* The program of the filter; NULL on a kernel without seccomp. Lives as long as the sandbox. */
const struct sock_fprog *jq_sandbox_filter(const struct jq_sandbox *sandbox, bool network);

#endif
