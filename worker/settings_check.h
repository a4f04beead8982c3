/* settings_check.h - checks of single values of settings.h, for its table of keys. Each says the reason alone. */
#ifndef JQ_WORKER_SETTINGS_CHECK_H
#define JQ_WORKER_SETTINGS_CHECK_H

#include "common/conf.h"

jq_conf_check jq_check_worker_name;
jq_conf_check jq_check_url;
jq_conf_check jq_check_offers;
jq_conf_check jq_check_facts;
jq_conf_check jq_check_user;
jq_conf_check jq_check_cgroup;
jq_conf_check jq_check_handler_need;
jq_conf_check jq_check_command;      /* a program; no placeholders */
jq_conf_check jq_check_task_command; /* a program; those of template.h */
jq_conf_check jq_check_script;
jq_conf_check jq_check_version;
jq_conf_check jq_check_service;
jq_conf_check jq_check_env;
jq_conf_check jq_check_paths; /* absolute ones */

#endif
