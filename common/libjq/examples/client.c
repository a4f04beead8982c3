/* client.c - submits one task, waits for it, prints its result. */
#include <stdio.h>

#include "common/libjq/jq.h"

int main(void) {
    struct jq_client *client = NULL;
    struct jq_result *result = NULL;
    struct jq_error error = {0};
    jq_task_id id;
    struct jq_task_spec task = jq_task("shout");
    task.payload = "hello";
    task.payload_size = 5;
    if (jq_connect(NULL, &client, &error) != JQ_OK || jq_submit(client, &task, &id, &error) != JQ_OK ||
        jq_wait(client, id, 10000, &result, &error) != JQ_OK) {
        fprintf(stderr, "client: %s\n", error.message);
        return 1;
    }
    printf("task %llu %s: %.*s\n", (unsigned long long)id.value, jq_state_name(result->state), (int)result->data.size,
           (const char *)result->data.data);
    jq_result_free(result);
    jq_disconnect(client);
    return 0;
}
