/* argv.h - the command of a handler made ready for one task. Pure, but for the search of the PATH.
 *
 * In every word: {input} is the path of a file that holds the payload, {output} the path of a file whose content becomes the result,
 * {work_dir} the task's work dir, {task} and {attempt} their numbers, {input.NAME} the path of an input of that name,
 * {output.NAME} that of an output, {param.X} a parameter (common/template.h). Any other brace
 * stays as it is, and so does all that a parameter holds, braces too. No shell is involved.
 */
#ifndef JQ_WORKER_EXEC_ARGV_H
#define JQ_WORKER_EXEC_ARGV_H

#include "common/err.h"
#include "common/template.h"

#include <stdbool.h>
#include <stddef.h>

/* Where tasks find programs, unless their handler says otherwise. */
#define JQ_TASK_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct jq_argv_values {
    const char *work_dir;
    const char *output_dir; /* of {output.NAME}; NULL: the work dir */
    const char *task;
    const char *attempt;
    jq_template_param *param; /* NULL: {param.X} stays as it is */
    void *param_ctx;
};

struct jq_argv {
    char **words; /* ends with NULL */
    char *path;   /* of the program */
    bool uses_input;
    bool uses_output;
};

/* `search`: a PATH, for a first word without a slash. NOT_FOUND or DENIED name the command; INVALID and TOO_BIG as
 * jq_template_expand(). */
enum jq_err jq_argv_expand(const char *const *argv, const struct jq_argv_values *values, const char *search,
                           struct jq_argv *ret_argv, struct jq_error *reterr);
/* The path of program `name` (the caller's to free), searched for in `search` unless it has a slash. NULL: there is none. */
char *jq_argv_find(const char *name, const char *search);

void jq_argv_fini(struct jq_argv *argv);

#endif
