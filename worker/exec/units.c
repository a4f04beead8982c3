#include "worker/exec/units.h"

void jq_exec_put_units(struct jq_json *json, const struct jq_offers *units) {
    jq_json_put_object(json, "units");
    for (size_t i = 0; units != NULL && i < units->count; i++) {
        jq_json_key(json, units->items[i].name);
        jq_json_array_begin(json);
        for (size_t k = 0; k < units->items[i].index_count; k++) {
            jq_json_uint(json, units->items[i].indexes[k]);
        }
        jq_json_array_end(json);
    }
    jq_json_object_end(json);
}
