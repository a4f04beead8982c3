/* files.h - the files and parameters of `task submit`: --input NAME=FILE, --output NAME=FILE, --param NAME=VALUE. */
#ifndef JQ_TOOLS_JQCTL_FILES_H
#define JQ_TOOLS_JQCTL_FILES_H

#include "tools/jqctl/spec.h"

struct jqctl_files {
    const char **paths; /* of the inputs, in the order of spec->inputs: what is to be put; NULL: a blob that is named */
    const char **saves; /* where the outputs go, in the order of spec->outputs; NULL: nowhere */
};

/* Stores one file. EX_NOINPUT: it cannot be read. `what` it is, for messages. */
int jqctl_file_put(struct jqctl *ctl, const char *what, const char *path, struct jq_blob *ret_blob);

/* Reads the options into spec. Nothing is sent yet. */
int jqctl_files_of_options(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec,
                           struct jqctl_files *ret_files);
/* The payload by --param: a map. */
int jqctl_files_params(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec);
/* Puts the inputs, and sets their blobs in spec. */
int jqctl_files_put(struct jqctl *ctl, const struct jqctl_files *files, struct jq_task_spec *spec);
/* Gets the outputs of a task that has succeeded: the row of its outcome. */
int jqctl_files_get(struct jqctl *ctl, const struct jqctl_files *files, const struct jq_task_spec *spec,
                    struct jq_view row);

#endif
