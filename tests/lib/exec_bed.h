/* exec_bed.h - a place to run children in: a host in a fresh state directory, and the wait for what runs on it. */
#ifndef JQ_TESTS_LIB_EXEC_BED_H
#define JQ_TESTS_LIB_EXEC_BED_H

#include "worker/exec/child.h"
#include "worker/exec/host.h"

struct exec_bed {
    struct jq_exec_host *host;
    char dir[64];
    int fd_count;     /* open descriptors before the host was made */
    int64_t ahead_ms; /* how far the clock that the host is told runs ahead: limits are reached without waiting */
};

/* `cgroup_root` as in struct jq_exec_config. Fails the test if anything goes wrong. */
struct exec_bed exec_bed_make(const char *cgroup_root);
/* The same, with children in the sandbox. */
struct exec_bed exec_bed_make_confined(const char *cgroup_root);

/* Frees the host, checks that no descriptor, no work dir and no record stayed, and removes the directory. */
void exec_bed_remove(struct exec_bed *bed);

/* Serves the host until a child is done; that child. Fails the test after 90 s. */
struct jq_exec_child *exec_bed_wait(struct exec_bed *bed);

/* Serves the host until *flag_file exists in the state directory: a child's sign that it got so far. */
void exec_bed_wait_for_file(struct exec_bed *bed, const char *name);

/* Serves once, waiting at most `wait_ms`. */
void exec_bed_serve(struct exec_bed *bed, int wait_ms);

/* Starts `sh -c script`. The caller may set other fields of `spec` first. $BED is the state directory. */
struct jq_exec_child *exec_bed_start(struct exec_bed *bed, struct jq_exec_spec *spec, const char *script);

/* exec_bed_start and exec_bed_wait. */
struct jq_exec_child *exec_bed_run(struct exec_bed *bed, struct jq_exec_spec *spec, const char *script);

/* Until the host knows that it runs. */
void exec_bed_wait_for_start(struct exec_bed *bed, const struct jq_exec_child *child);

/* A number that a child wrote into a file of the state directory. */
int exec_bed_read_number(const struct exec_bed *bed, const char *name);

/* True as soon as that process is no more, or a zombie: one that is on its last steps has left its control group, and cannot be reaped
 * yet. False if it still runs after a long while. */
bool exec_bed_ends(int pid);

/* Open descriptors of this process. */
int exec_bed_fd_count(void);

#endif
