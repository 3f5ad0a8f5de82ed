#include "tools/message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/file_limit.h"
#include "tools/text.h"

void message(const char *format, ...)
{
	char *line = NULL;
	va_list args;

	va_start(args, format);
	int n = vasprintf(&line, format, args);
	va_end(args);
	fputs("reprise: ", stderr);
	text_print_escaped(stderr, n < 0 ? format : line);
	fputc('\n', stderr);
	free(n < 0 ? NULL : line);
}

void message_verbatim(const char *format, ...)
{
	va_list args;

	fputs("reprise: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void message_log_error(const char *path, const struct log_error *error, const char *hint)
{
	char limit[FILE_LIMIT_HINT_BYTES];

	hint = hint ? hint : file_limit_hint(error->code, limit);
	const char *open = hint ? " (" : "", *close = hint ? ")" : "";
	hint = hint ? hint : "";
	if (error->code == -EBADMSG)
		message("%s: byte %" PRIu64 ": %s%s%s%s", path, error->offset, error->text, open,
			hint, close);
	else
		message("%s: %s%s%s%s", path, error->text, open, hint, close);
}
