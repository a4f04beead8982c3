/* main.c - jqbroker: reads its command line and configuration, and runs the broker. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/shell/broker.h"
#include "broker/shell/cli.h"
#include "common/transport/guard.h"

int main(int argc, char **argv) {
    struct jq_broker_settings settings = {.data_dir = NULL};
    enum jq_exit status = JQ_EXIT_OK;
    jq_guard_own_process();
    if (!jq_cli_settings(argc, (const char *const *)argv, &settings, &status))
        return (int)status;
    jq_service_prepare();
    status = jq_broker_run(&settings);
    (void)fflush(NULL);
    /* Threads of NNG and ours still run: nothing may be taken from under them. */
    _Exit((int)status);
}
