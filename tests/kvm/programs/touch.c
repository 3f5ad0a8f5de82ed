/* Writes a word to each page of so many MiB, then reads all again. Usage: touch MIB */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	size_t pages = argc > 1 ? strtoul(argv[1], NULL, 10) * 256 : 0;
	uint64_t sum = 0;
	uint64_t *memory = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (!pages || memory == MAP_FAILED)
		return 2;
	for (size_t i = 0; i < pages; i++)
		memory[i * 512 + i % 512] = i * 2654435761u;
	for (size_t i = 0; i < pages; i++) {
		if (memory[i * 512 + i % 512] != i * 2654435761u)
			return 1;
		sum += memory[i * 512 + i % 512] ^ i;
	}
	printf("%zu pages, %llx\n", pages, (unsigned long long)sum);
	return 0;
}
