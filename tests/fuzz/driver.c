/*
 * Runs a fuzz target without libFuzzer: every file of a corpus, then random changes to them from a
 * fixed seed, in a child process that may crash or hang. Plain TAP.
 *
 *	fuzz_NAME_driver CORPUS RUNS [INPUT]
 *
 * REPRISE_TEST_REPEAT multiplies RUNS. INPUT: runs that file alone, in this process. An input that
 * fails is left as crash-NAME in the current directory.
 */
#include <dirent.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/input.h"
#include "tests/tap.h"

#define INPUT_MAX  8192u
#define CORPUS_MAX 256u
#define BATCH      500u /* inputs of one child */
#define HANG_S     60u  /* of processor time; a batch takes well under a second */

struct seed {
	char name[64];
	size_t n;
	uint8_t data[INPUT_MAX];
};

/* Shared with the child: what it was at when it died. */
struct current {
	size_t n;
	uint8_t data[INPUT_MAX];
};

static struct seed *seeds;
static unsigned n_seeds;
static struct current *current;

/* ---- the corpus ---- */

static void load_seed(const char *directory, const char *name)
{
	char path[4096];
	struct seed *seed = &seeds[n_seeds];
	FILE *file;

	if (n_seeds == CORPUS_MAX || strlen(name) >= sizeof(seed->name))
		abort();
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "rb");
	if (!file)
		abort();
	strcpy(seed->name, name);
	seed->n = fread(seed->data, 1, INPUT_MAX, file);
	fclose(file);
	n_seeds++;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct seed *)a)->name, ((const struct seed *)b)->name);
}

static void load_corpus(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	seeds = calloc(CORPUS_MAX, sizeof(*seeds));
	if (!dir || !seeds)
		abort();
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			load_seed(directory, entry->d_name);
	closedir(dir);
	qsort(seeds, n_seeds, sizeof(*seeds), by_name);
}

/* ---- changes ---- */

/* xorshift64*: the same numbers everywhere. */
static uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717) >> 11;
}

static uint64_t below(uint64_t *state, uint64_t n)
{
	return n ? random_next(state) % n : 0;
}

/* Numbers at which lengths and offsets go wrong. */
static void put_corner(uint64_t *random, uint8_t *at, size_t room)
{
	static const uint64_t corners[] = {0,
					   1,
					   2,
					   0x7f,
					   0x80,
					   0xff,
					   0x100,
					   0xfff,
					   0x1000,
					   0x7fff,
					   0xffff,
					   0x7fffffff,
					   0x80000000,
					   0xffffffff,
					   0x100000000,
					   INT64_MAX,
					   (uint64_t)INT64_MAX + 1,
					   UINT64_MAX};
	uint64_t value = corners[below(random, sizeof(corners) / sizeof(corners[0]))];
	size_t bytes = (size_t)1 << below(random, 4);

	value -= below(random, 3) == 0;
	for (size_t i = 0; i < bytes && i < room; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

/* Moves what follows a place up or down by some bytes. */
static void shift(uint64_t *random, struct current *input, size_t at)
{
	size_t bytes = below(random, 16) + 1;

	if (below(random, 2) && input->n + bytes <= INPUT_MAX) {
		memmove(input->data + at + bytes, input->data + at, input->n - at);
		input->n += bytes;
	} else if (at + bytes < input->n) {
		memmove(input->data + at, input->data + at + bytes, input->n - at - bytes);
		input->n -= bytes;
	}
}

static void splice(uint64_t *random, struct current *input, size_t at)
{
	const struct seed *other = &seeds[below(random, n_seeds)];
	size_t from = below(random, other->n), bytes = below(random, other->n - from + 1);

	if (bytes > INPUT_MAX - at)
		bytes = INPUT_MAX - at;
	memcpy(input->data + at, other->data + from, bytes);
	if (at + bytes > input->n)
		input->n = at + bytes;
}

static void change(uint64_t *random, struct current *input)
{
	size_t at = below(random, input->n);

	switch (below(random, 8)) {
	case 0:
	case 1:
		input->data[at] ^= (uint8_t)(1u << below(random, 8));
		break;
	case 2:
	case 3:
		input->data[at] = (uint8_t)random_next(random);
		break;
	case 4:
	case 5:
		put_corner(random, input->data + at, input->n - at);
		break;
	case 6:
		shift(random, input, at);
		break;
	default:
		splice(random, input, at);
	}
}

static void make_input(uint64_t run, struct current *input)
{
	uint64_t random = (run + 1) * UINT64_C(0x9e3779b97f4a7c15);
	const struct seed *seed = &seeds[below(&random, n_seeds)];

	memcpy(input->data, seed->data, seed->n);
	input->n = seed->n;
	for (unsigned left = 1u << below(&random, 5); left && input->n; left--)
		change(&random, input);
	if (below(&random, 16) == 0)
		input->n = below(&random, input->n + 1);
}

/* ---- running ---- */

/* A copy of exactly its length, so that a sanitizer sees reads past its end. */
static void run_current(void)
{
	uint8_t *copy = malloc(current->n ? current->n : 1);

	if (!copy)
		abort();
	memcpy(copy, current->data, current->n);
	LLVMFuzzerTestOneInput(copy, current->n);
	free(copy);
}

static void keep_input(const char *name)
{
	FILE *file = fopen(name, "wb");

	if (!file)
		return;
	fwrite(current->data, 1, current->n, file);
	fclose(file);
	tap_note("the input is in %s", name);
}

/* In a child: prepare(i) and run for each of [first, end). Returns true when all came back. */
static bool run_batch(uint64_t first, uint64_t end, void (*prepare)(uint64_t, struct current *))
{
	int status;

	fflush(stdout);
	pid_t child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		setrlimit(RLIMIT_CPU, &(const struct rlimit){HANG_S, HANG_S});
		for (uint64_t i = first; i < end; i++) {
			prepare(i, current);
			run_current();
		}
		exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		abort();
	if (WIFSIGNALED(status))
		tap_note("ended by signal %d", WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void take_seed(uint64_t i, struct current *input)
{
	memcpy(input->data, seeds[i].data, seeds[i].n);
	input->n = seeds[i].n;
}

static void test_corpus(void)
{
	for (unsigned i = 0; i < n_seeds; i++)
		tap_ok(run_batch(i, i + 1, take_seed), "corpus: %s", seeds[i].name);
}

static void test_changes(uint64_t runs, const char *crash)
{
	unsigned failed = 0;

	for (uint64_t i = 0; i < runs && failed < 3; i += BATCH) {
		uint64_t end = i + BATCH < runs ? i + BATCH : runs;
		if (!run_batch(i, end, make_input)) {
			tap_note("in runs %ju to %ju", (uintmax_t)i, (uintmax_t)end);
			keep_input(crash);
			failed++;
		}
	}
	tap_ok(failed == 0, "%ju changed inputs", (uintmax_t)runs);
}

int main(int argc, char **argv)
{
	const char *repeat = getenv("REPRISE_TEST_REPEAT");
	const char *name = strrchr(argv[0], '/');
	char crash[128];

	if (argc < 3)
		return 2;
	load_corpus(argv[1]);
	if (!n_seeds)
		return 1;
	current = mmap(NULL, sizeof(*current), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (current == MAP_FAILED)
		return 1;
	if (argc > 3) {
		n_seeds = 0;
		load_seed(".", argv[3]);
		take_seed(0, current);
		run_current();
		return 0;
	}
	snprintf(crash, sizeof(crash), "crash-%s", name ? name + 1 : argv[0]);
	test_corpus();
	test_changes(strtoull(argv[2], NULL, 10) * (repeat ? strtoull(repeat, NULL, 10) : 1),
		     crash);
	munmap(current, sizeof(*current));
	free(seeds);
	return tap_done();
}
