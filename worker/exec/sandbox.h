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

/* The rules of one child, made of the files that are there at this moment. `work_fd`: its work dir, -1: none. *ret_rules is NULL on a
 * kernel without Landlock. Not for two threads at once.
 *
 * Making rules is a good part of what a task costs, and from task to task only the work dir differs, if that. With `again` they may have
 * been another child's, and may become another's once they are given back. That one reaches no more by it than by rules of its own:
 * - They serve one child at a time, and each that enters them gets a domain of its own, by a copy.
 * - The work dir that they speak of last is this child's own, which served the other one before (workdir_slot.h), or has no name any more;
 *   nor has any before it. They keep the number of what is gone from being given to another folder, so they are thrown away after
 *   JQ_SANDBOX_RULES_DIRS_MAX work dirs.
 * - Every path has to name the very file that it named when they were made, and the list of places must be the same. The rules hold these
 *   files, too, so that a number found again is the same file.
 * - So `again` is not for paths that are a task's own, its output folder above all. */
enum { JQ_SANDBOX_RULES_DIRS_MAX = 32 };
struct jq_sandbox_rules;
enum jq_err jq_sandbox_rules_take(struct jq_sandbox *sandbox, int work_fd, const struct jq_sandbox_paths *paths,
                                  const struct jq_sandbox_paths *more, bool network, bool again,
                                  struct jq_sandbox_rules **ret_rules, struct jq_error *reterr);
/* When its child is no more. NULL is fine. */
void jq_sandbox_rules_give(struct jq_sandbox *sandbox, struct jq_sandbox_rules *rules);
/* What to hand to landlock_restrict_self(). -1 of NULL. Borrowed; or the caller's to close, and the rules are freed. */
int jq_sandbox_rules_fd(const struct jq_sandbox_rules *rules);
int jq_sandbox_rules_steal(struct jq_sandbox_rules *rules);
/* How many children they were given to. */
unsigned jq_sandbox_rules_uses(const struct jq_sandbox_rules *rules);

/* The program of the filter; NULL on a kernel without seccomp. Lives as long as the sandbox. */
const struct sock_fprog *jq_sandbox_filter(const struct jq_sandbox *sandbox, bool network);

#endif
