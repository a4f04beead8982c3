/* policy.h - the core's policy as the settings have it. */
#ifndef JQ_BROKER_SHELL_POLICY_H
#define JQ_BROKER_SHELL_POLICY_H

#include "broker/core/core.h"
#include "broker/settings.h"

/* Names are borrowed from the settings. */
void jq_policy_of(const struct jq_broker_settings *settings, struct jq_core_config *ret_policy);

#endif
