/* template.h - placeholders in the words of a handler's command.
 *
 *     {input}      path of a file that holds the payload
 *     {output}     path of a file whose content becomes the result
 *     {input.X}    path of the task's input file X
 *     {output.X}   path where its output file X is to be
 *     {work_dir}   the task's work dir
 *     {task}       the task's id
 *     {attempt}    its attempt, from 1
 *     {param.X}    the value of X in the payload, a map
 *
 * What else is in braces stays as it is, but for what looks like a placeholder ({word} of a-z 0-9 _ . -) and is none:
 * that is refused when the configuration is read. Parameters are put in here, after the others, which worker/exec/argv.h
 * knows: what a parameter holds is never searched for placeholders.
 *
 * A parameter comes from outside. It takes the place of its braces inside one word and never makes a second one; no
 * shell sees it. One that would open its word with '-' is refused, as the program would take it for an option.
 */
#ifndef JQ_COMMON_TEMPLATE_H
#define JQ_COMMON_TEMPLATE_H

#include "common/buf.h"
#include "common/err.h"
#include "common/types.h"

/* JQ_ERR_INVALID names the placeholder that is none. */
enum jq_err jq_template_check(struct jq_str word, struct jq_error *reterr);

/* Appends the text of parameter `name`, or returns false: there is none. */
typedef bool jq_template_param(void *ctx, struct jq_str name, struct jq_buf *buf);

/* True if the word has a parameter. */
bool jq_template_has_params(struct jq_str word);

/* Appends `word` with its parameters put in. JQ_ERR_INVALID names the parameter that is missing, has a NUL byte or a
 * leading '-'; JQ_ERR_TOO_BIG when the buffer is full. */
enum jq_err jq_template_expand(struct jq_str word, jq_template_param *param, void *ctx, struct jq_buf *buf,
                               struct jq_error *reterr);

#endif
