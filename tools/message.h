/* One-line messages to the user, on stderr: what failed, where, what to try. */
#ifndef REPRISE_TOOLS_MESSAGE_H
#define REPRISE_TOOLS_MESSAGE_H

#include "log-format/log.h"

/* Prints "reprise: …" and a newline. Control characters in what is formatted are escaped. */
__attribute__((format(printf, 1, 2))) void message(const char *format, ...);

/* The same without escapes: for what is to be pasted, which the caller has made safe to show. */
__attribute__((format(printf, 1, 2))) void message_verbatim(const char *format, ...);

/*
 * Reports an error of the log library about the file at path, with the byte offset where it has
 * one. hint: what to try, without parentheses; NULL: nothing, or the limit that files have passed.
 */
void message_log_error(const char *path, const struct log_error *error, const char *hint);

#endif
