/*
 * How fast translated code is: small loops, natively and translated, in ns a round. Not a test; run
 * it by hand. Usage: translate_bench [--engine native|interp] [KERNEL]
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <Zydis/Mnemonic.h>

#include "tests/cpu/interp_guest.h"
#include "tests/cpu/native_engine.h"

#define BUFFER_GPA   0x100000u
#define BUFFER_BYTES 0x100000u

#define KERNEL_DECLARE(name) extern const uint8_t kernel_##name[], kernel_##name##_end[];
#define KERNELS(X)                                                                                 \
	X(small) X(integer) X(stream) X(matmul) X(call) X(callfar) X(indirect) X(registers)
KERNELS(KERNEL_DECLARE)

struct kernel {
	const char *name;
	const uint8_t *code, *end;
	uint64_t rounds;
};

#define KERNEL_ROW(kernel) {#kernel, kernel_##kernel, kernel_##kernel##_end, 0},
static struct kernel kernels[] = {KERNELS(KERNEL_ROW)};

/* Processor time, in ns: other work on the machine counts less. */
static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Registers that the calling convention does not cover are the kernel's business: it saves none. */
static void call_kernel(const struct kernel *kernel, uint64_t rounds, void *buffer)
{
	const void *code = kernel->code;

	__asm__ volatile("sub $128, %%rsp\n\tcall *%2\n\tadd $128, %%rsp"
			 : "+D"(rounds), "+S"(buffer), "+a"(code)
			 :
			 : "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "memory",
			   "cc");
}

static double time_native(const struct kernel *kernel, uint64_t rounds, void *buffer)
{
	double start = now();
	call_kernel(kernel, rounds, buffer);
	return now() - start;
}

static void note_exits(const struct rig *rig)
{
	if (rig->engine->ops != &native_engine_ops)
		return;
	const struct translator *t = native_engine_translator(rig->engine);
	const struct translator_statistics *s = translator_statistics(t);
	printf("# exits: poll %llu interp %llu miss %llu link %llu faults %llu; %llu blocks, %llu "
	       "guest bytes, %llu code bytes\n",
	       (unsigned long long)s->exits[RUNTIME_EXIT_POLL],
	       (unsigned long long)s->exits[RUNTIME_EXIT_INTERP],
	       (unsigned long long)s->exits[RUNTIME_EXIT_MISS],
	       (unsigned long long)s->exits[RUNTIME_EXIT_LINK], (unsigned long long)s->faults,
	       (unsigned long long)s->blocks, (unsigned long long)s->guest_bytes,
	       (unsigned long long)s->code_bytes);
	for (unsigned i = 0; i <= ZYDIS_MNEMONIC_MAX_VALUE; i++)
		if (translator_interp_exits(t, (uint16_t)i))
			printf("# interp: mnemonic %u, %llu times\n", i,
			       (unsigned long long)translator_interp_exits(t, (uint16_t)i));
}

static double time_guest(const struct kernel *kernel, uint64_t rounds, uint64_t *ret_steps)
{
	struct rig rig;
	uint32_t bytes = (uint32_t)(kernel->end - kernel->code);
	uint64_t end = RIG_CODE + RIG_CODE_BYTES - 16;

	rig_create(&rig, RIG_USER64);
	rig_load(&rig, RIG_CODE, kernel->code, bytes);
	rig_load(&rig, end, "\x90\xeb\xfe", 3);
	rig_store64(&rig, RIG_STACK - 64, end);
	rig.cpu->gpr[RSP] = RIG_STACK - 64;
	rig.cpu->gpr[RDI] = rounds;
	rig.cpu->gpr[RSI] = BUFFER_GPA;
	rig.engine->ops->set_breakpoints(rig.engine, &end, 1);
	const struct run_control control = {.until_icount = UINT64_C(1) << 60};
	double start = now();
	if (rig.engine->ops->run(rig.engine, &control) != ENGINE_BREAKPOINT)
		printf("%s did not end\n", kernel->name);
	double took = now() - start;
	*ret_steps = rig.machine->icount;
	note_exits(&rig);
	rig_destroy(&rig);
	return took;
}

/* The number of rounds that takes about 0.2 s natively. */
static uint64_t choose_rounds(const struct kernel *kernel, void *buffer, double target)
{
	uint64_t rounds = 16;

	while (time_native(kernel, rounds, buffer) < target)
		rounds *= 2;
	return 4 * rounds;
}

int main(int argc, char **argv)
{
	void *buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	const char *only = "";
	double target = 5e7;

	rig_engine = &native_engine_ops;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--engine") && i + 1 < argc)
			rig_engine = strcmp(argv[++i], "interp") ? &native_engine_ops
								 : &interp_engine_ops;
		else if (!strcmp(argv[i], "--short"))
			target = 1e3;
		else
			only = argv[i];
	}
	if (buffer == MAP_FAILED)
		return 1;
	printf("%-10s %12s %12s %6s %12s\n", "kernel", "native ns", "guest ns", "ratio",
	       "steps/ns");
	for (unsigned i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		struct kernel *kernel = &kernels[i];
		uint64_t steps;
		if (*only && strcmp(only, kernel->name))
			continue;
		kernel->rounds = choose_rounds(kernel, buffer, target);
		double native = time_native(kernel, kernel->rounds, buffer);
		double guest = time_guest(kernel, kernel->rounds, &steps);
		double n = (double)kernel->rounds;
		printf("%-10s %12.2f %12.2f %6.2f %12.2f\n", kernel->name, native / n, guest / n,
		       guest / native, (double)steps / guest);
	}
	return 0;
}
