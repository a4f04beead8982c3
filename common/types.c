#include "common/types.h"

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

bool jq_name_valid(struct jq_str name) {
    if (name.size == 0 || name.size > JQ_NAME_SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        if (!is_name_char(name.data[i]))
            return false;
    }
    return true;
}
