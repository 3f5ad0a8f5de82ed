/* Text that comes from elsewhere (files, guests, arguments), made safe to show; numbers for people.
 */
#ifndef REPRISE_TOOLS_TEXT_H
#define REPRISE_TOOLS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Decodes the UTF-8 sequence at p (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
 * Returns its length, 0 when the bytes are not valid UTF-8, or -1 when the n bytes are the
 * beginning of a sequence that may become valid.
 */
int text_decode_utf8(const uint8_t *p, size_t n, uint32_t *ret_code_point);

/* True for characters that act on a terminal or reorder text instead of being shown. */
int text_is_control(uint32_t code_point);

/* Prints s with control characters and invalid bytes as \n, \t or \xNN, and a backslash doubled. */
void text_print_escaped(FILE *out, const char *s);

#define TEXT_NUMBER_BYTES 32

/* "1,234,567". Returns buffer. */
const char *text_count(char buffer[TEXT_NUMBER_BYTES], uint64_t n);
/* "1.5 MB", in powers of 1000. Returns buffer. */
const char *text_bytes(char buffer[TEXT_NUMBER_BYTES], uint64_t n);
/* "12.345 s". Returns buffer. */
const char *text_seconds(char buffer[TEXT_NUMBER_BYTES], uint64_t ns);

#endif
