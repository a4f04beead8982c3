/* decode_flow.c - the requests about flows. */
#include "broker/shell/decode_internal.h"

bool jq_decode_flow_begin(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.flow.count = (uint32_t)values->at[JQ_AT_FLOW_BEGIN_COUNT].u;
    request->u.flow.name = jq_value_text(values, JQ_AT_FLOW_BEGIN_NAME);
    return true;
}

bool jq_decode_flow_add(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.submit.flow = values->at[JQ_AT_FLOW_ADD_FLOW].u;
    request->u.submit.at = (uint32_t)values->at[JQ_AT_FLOW_ADD_AT].u;
    return jq_decode_items(decoder, values->at[JQ_AT_FLOW_ADD_TASKS].object, request);
}

bool jq_decode_flow_commit(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.flow.flow = values->at[JQ_AT_FLOW_COMMIT_FLOW].u;
    request->u.flow.count = (uint32_t)values->at[JQ_AT_FLOW_COMMIT_COUNT].u;
    return true;
}

bool jq_decode_flow_cancel(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.flow.flow = values->at[JQ_AT_FLOW_CANCEL_FLOW].u;
    request->u.flow.grace_ms = (uint32_t)jq_value_uint(values, JQ_AT_FLOW_CANCEL_GRACE, JQ_GRACE_MS_DEFAULT);
    return true;
}

bool jq_decode_flow_show(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.flow.flow = values->at[JQ_AT_FLOW_SHOW_FLOW].u;
    request->u.flow.at = (uint32_t)jq_value_uint(values, JQ_AT_FLOW_SHOW_AT, 0);
    request->u.flow.limit = (uint32_t)jq_value_uint(values, JQ_AT_FLOW_SHOW_LIMIT, JQ_LIST_COUNT_DEFAULT);
    return true;
}

bool jq_decode_flow_ls(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    (void)decoder;
    request->u.flow.flow = jq_value_uint(values, JQ_AT_FLOW_LS_AFTER, 0);
    request->u.flow.limit = (uint32_t)jq_value_uint(values, JQ_AT_FLOW_LS_LIMIT, JQ_LIST_COUNT_DEFAULT);
    return true;
}

bool jq_decode_flow_wait(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request) {
    request->u.flow.flow = values->at[JQ_AT_FLOW_WAIT_FLOW].u;
    request->u.flow.wait_ms = jq_decode_wait_ms(decoder, values, JQ_AT_FLOW_WAIT_WAIT);
    return true;
}
