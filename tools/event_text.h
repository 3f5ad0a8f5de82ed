/* Events of a recording in words and in JSON, for `reprise dump`. */
#ifndef REPRISE_TOOLS_EVENT_TEXT_H
#define REPRISE_TOOLS_EVENT_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "tools/json.h"
#include "vmm/boundary.h"

/* Writes the event's members into the object that is open. data: memory events with their bytes
 * instead of only their hash. */
void event_text_json(struct json *json, const struct event *event, bool data);

/* Prints the event on one line. */
void event_text_print(FILE *out, const struct event *event, bool data);

#endif
