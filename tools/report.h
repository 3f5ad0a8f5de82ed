/* What `reprise info` says of a `run` to people: how its command ended and what is known of why. */
#ifndef REPRISE_TOOLS_REPORT_H
#define REPRISE_TOOLS_REPORT_H

#include "log-format/log.h"
#include "tools/json.h"

/* Lines after those of the file; evidence may be NULL. All strings come from the file and are
 * escaped. */
void report_print_text(const Reprise__Header *header, const Reprise__Evidence *evidence);

/* Members of the object that is open. */
void report_print_json(struct json *json, const Reprise__Header *header,
		       const Reprise__Evidence *evidence);

/* A bug report that can be pasted; path: the recording. */
void report_print_markdown(const char *path, const struct log_reader *reader,
			   const Reprise__Evidence *evidence);

#endif
