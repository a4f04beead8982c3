#include "broker/core/event.h"

const char *jq_op_name(enum jq_op op) {
#define OP_NAME(name, number, text) [number] = text,
    static const char *const names[JQ_OP_END] = {JQ_OP_LIST(OP_NAME)};
#undef OP_NAME
    return op > JQ_OP_NONE && op < JQ_OP_END ? names[op] : "?";
}
