/* news.h - what people hear of the core's news: log lines, and counters. */
#ifndef JQ_BROKER_SHELL_NEWS_H
#define JQ_BROKER_SHELL_NEWS_H

#include "broker/shell/metrics.h"

/* Workers, queues and marks at level info, dead letters too; the life of each task at level debug. */
void jq_news_tell(struct jq_metrics *metrics, const struct jq_news *news);

#endif
