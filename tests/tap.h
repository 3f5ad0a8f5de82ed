/*
 * Plain TAP output for test programs: call tap_plan() first or not at all, check with tap_ok(), end
 * main with `return tap_done();`, which fails when a check failed, when none ran, or when the plan
 * and the count differ.
 */
#ifndef REPRISE_TESTS_TAP_H
#define REPRISE_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_count, tap_failed, tap_planned = -1;

static inline void tap_plan(int n)
{
	tap_planned = n;
	printf("1..%d\n", n);
}

__attribute__((format(printf, 2, 3))) static inline bool tap_ok(bool ok, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("%sok %d - ", ok ? "" : "not ", ++tap_count);
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
	tap_failed += !ok;
	return ok;
}

__attribute__((format(printf, 1, 2))) static inline void tap_skip(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("ok %d # SKIP ", ++tap_count);
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

__attribute__((format(printf, 1, 2))) static inline void tap_note(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

static inline int tap_done(void)
{
	if (tap_planned < 0)
		printf("1..%d\n", tap_count);
	else if (tap_planned != tap_count)
		printf("# planned %d, ran %d\n", tap_planned, tap_count);
	return tap_failed || !tap_count || (tap_planned >= 0 && tap_planned != tap_count);
}

#endif
