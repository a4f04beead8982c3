/* sysfile.h - short reads and writes of kernel files (/proc, /sys/fs/cgroup), by directory descriptor; and a write of any size. */
#ifndef JQ_WORKER_EXEC_SYSFILE_H
#define JQ_WORKER_EXEC_SYSFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes `text` to `name` in one write. False with errno set. */
bool jq_sysfile_write(int dir_fd, const char *name, const char *text);
bool jq_sysfile_write_u64(int dir_fd, const char *name, uint64_t number);

/* All of it, however often the kernel takes a part. False with errno set. */
bool jq_sysfile_write_all(int fd, const void *data, size_t size);

/* Reads at most size - 1 bytes and ends them with NUL. The size read, or -1 with errno set. */
long jq_sysfile_read(int dir_fd, const char *name, char *ret_text, size_t size);

/* A file that holds one number; -1 if it is missing or holds none ("max"). */
int64_t jq_sysfile_number(int dir_fd, const char *name);

/* The same of a file that is open, from its beginning. */
int64_t jq_sysfile_number_at(int fd);

/* The number after `key` and a blank, at the start of a line ("oom_kill 3"); -1 if there is none. */
int64_t jq_sysfile_field(int dir_fd, const char *name, const char *key);
/* The same of a file that is open, of which one read gives all. */
int64_t jq_sysfile_field_at(int fd, const char *key);

/* Digits only, the whole of `text`, below 2^63; -1 otherwise. */
int64_t jq_sysfile_parse(const char *text);

#endif
