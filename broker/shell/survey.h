/* survey.h - heartbeats: the core's surveys to all workers, and what they answer, as events for the core thread.
 *
 * The notices of the core go out here as well: both are sockets that carry small, loss-tolerant messages.
 * Lifetime: as long as the process.
 */
#ifndef JQ_BROKER_SHELL_SURVEY_H
#define JQ_BROKER_SHELL_SURVEY_H

#include "broker/shell/inbound.h"
#include "broker/shell/metrics.h"
#include "common/conf.h"

struct jq_survey_shell; /* Opaque: jq_survey_shell_open() .. end of the process. */

struct jq_survey_shell_config {
    struct jq_conf_list survey_urls, notice_urls; /* borrowed for the call */
    unsigned ipc_mode;
    size_t connections_max; /* to each of both */
    uint64_t epoch;
    struct jq_inbox *inbox;     /* borrowed */
    struct jq_metrics *metrics; /* borrowed */
};

/* Listens on both. JQ_ERR_ADDRESS names the URL and the reason. */
enum jq_err jq_survey_shell_open(const struct jq_survey_shell_config *config, struct jq_survey_shell **ret_shell,
                                 struct jq_error *reterr);
void jq_survey_shell_stop(struct jq_survey_shell *shell);

/* Asks all workers. Core thread. */
void jq_survey_shell_ask(struct jq_survey_shell *shell, uint32_t survey);

/* Tells a worker that a command waits for it. Any thread. */
void jq_survey_shell_notice(struct jq_survey_shell *shell, struct jq_str worker);

#endif
