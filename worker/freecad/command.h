/* command.h - the configured command that starts FreeCAD's Python on a file of ours, made ready. */
#ifndef JQ_WORKER_FREECAD_COMMAND_H
#define JQ_WORKER_FREECAD_COMMAND_H

#include "common/err.h"

#include <stdbool.h>
#include <sys/stat.h>

enum { JQ_FREECAD_WORDS_MAX = 32 };

struct jq_freecad_command {
    char *words[JQ_FREECAD_WORDS_MAX + 1]; /* ends with NULL */
    char *program;                         /* path of the first word; NULL if it is not there */
};

/* `words` ends with NULL; {runner} in each stands for `file`, an absolute path without quotes (it stands within a line of Python).
 * That the program is missing is no error here: its start will tell. */
enum jq_err jq_freecad_command_make(const char *const *words, const char *file, struct jq_freecad_command *ret_command,
                                    struct jq_error *reterr);
void jq_freecad_command_fini(struct jq_freecad_command *command);

/* The program as it is now: zeroed if it is not there. A package that changed shows in inode, size or time. */
struct stat jq_freecad_command_stat(const struct jq_freecad_command *command);
bool jq_freecad_stat_same(const struct stat *left, const struct stat *right);

#endif
