/* units.h - the units of a task as its process is told them in JSON. */
#ifndef JQ_WORKER_EXEC_UNITS_H
#define JQ_WORKER_EXEC_UNITS_H

#include "common/json.h"
#include "common/need.h"

/* A member of the object that is open: "units": {"gpu": [0, 1]}, of offers like gpu=[0,1] what is the task's own; {} for NULL. */
void jq_exec_put_units(struct jq_json *json, const struct jq_offers *units);

#endif
