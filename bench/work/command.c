/*
 * What a shell script starts again and again: a small program, linked dynamically, that each
 * process has elsewhere. Sorts words and prints how many are different.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 500

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int main(int argc, char **argv)
{
	static char *words[WORDS];
	unsigned different = 1, state = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;

	setlocale(LC_ALL, "");
	for (unsigned i = 0; i < WORDS; i++) {
		char text[32];
		state = state * 1103515245u + 12345u;
		snprintf(text, sizeof(text), "word-%03u-%s", state >> 16 & 255, argv[0]);
		words[i] = strdup(text);
		if (!words[i])
			return 1;
	}
	qsort(words, WORDS, sizeof(words[0]), compare);
	for (unsigned i = 1; i < WORDS; i++)
		different += strcmp(words[i - 1], words[i]) != 0;
	for (unsigned i = 0; i < WORDS; i++)
		free(words[i]);
	printf("%u\n", different);
	return 0;
}
