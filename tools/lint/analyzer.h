/* analyzer.h - what clang's analyzer cannot see for itself. Included ahead of every file that clang-tidy reads.
 *
 * jq_fail() returns its `code`, which is never JQ_OK. Without knowing that, the analyzer follows paths on which a
 * function failed, returned JQ_OK all the same, and left its outputs unset.
 */
#if defined(__clang_analyzer__) && !defined(JQ_LINT_ANALYZER_H)
#define JQ_LINT_ANALYZER_H

#include "common/err.h"

void jq_analyzer_use(const char *format, ...);

#define jq_fail(reterr, code, ...) ((void)(reterr), jq_analyzer_use(__VA_ARGS__), (code))
#define jq_fail_errno(reterr, sys_errno, ...)                                                                          \
    ((void)(reterr), jq_analyzer_use(__VA_ARGS__), (sys_errno) == 28 ? JQ_ERR_NO_SPACE : JQ_ERR_IO)

#endif
