/* policy.h - the core's policy, and what requests get that do not say it, as the settings have it. */
#ifndef JQ_BROKER_SHELL_POLICY_H
#define JQ_BROKER_SHELL_POLICY_H

#include "broker/core/core.h"
#include "broker/settings.h"
#include "broker/shell/decode.h"

/* Names are borrowed from the settings; the queues are freed by jq_policy_fini(), when the core is no more. */
enum jq_err jq_policy_of(const struct jq_broker_settings *settings, struct jq_core_config *ret_policy,
                         struct jq_error *reterr);
void jq_policy_fini(struct jq_core_config *policy);

struct jq_decode_config jq_policy_decode(const struct jq_broker_settings *settings);

#endif
