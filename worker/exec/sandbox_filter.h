/* sandbox_filter.h - the seccomp filter of sandbox.h, compiled by libseccomp. */
#ifndef JQ_WORKER_EXEC_SANDBOX_FILTER_H
#define JQ_WORKER_EXEC_SANDBOX_FILTER_H

#include "common/err.h"

#include <linux/filter.h>
#include <stdbool.h>

/* Freed by jq_sandbox_filter_free(). JQ_ERR_NOMEM; JQ_ERR_UNSUPPORTED: libseccomp refuses. */
enum jq_err jq_sandbox_filter_make(bool network, struct sock_fprog **ret_filter, struct jq_error *reterr);
void jq_sandbox_filter_free(struct sock_fprog *filter);

#endif
