/* A repeated instruction that lies across two pages, which are neighbours in linear memory alone.
 */
#include "guest.h"

#define LINEAR  0x400000u
#define ENTRIES 1024u
#define PRESENT 3u /* and writable */

static uint32_t directory[ENTRIES] __attribute__((aligned(4096)));
static uint32_t same[ENTRIES] __attribute__((aligned(4096))); /* the first 4 MiB as they are */
static uint32_t other[ENTRIES] __attribute__((aligned(4096)));
static uint8_t pages[3][4096] __attribute__((aligned(4096)));
static char from[] = "sixteen letters!", to[sizeof(from)];

static void enable_paging(void)
{
	for (uint32_t i = 0; i < ENTRIES; i++)
		same[i] = i << 12 | PRESENT;
	other[0] = (uint32_t)pages[0] | PRESENT;
	other[1] = (uint32_t)pages[2] | PRESENT;
	directory[0] = (uint32_t)same | PRESENT;
	directory[LINEAR >> 22] = (uint32_t)other | PRESENT;
	__asm__ volatile("mov %0, %%cr3; mov %%cr0, %%eax; or $0x80000000, %%eax; mov %%eax, %%cr0"
			 :
			 : "r"(directory)
			 : "eax", "memory");
}

void guest_main(void)
{
	uint32_t source = (uint32_t)from, target = (uint32_t)to, count = sizeof(from) - 1;

	pages[0][4095] = 0xf3; /* rep */
	pages[2][0] = 0xa4;    /* movsb */
	pages[2][1] = 0xc3;    /* ret */
	enable_paging();
	__asm__ volatile("call *%3"
			 : "+S"(source), "+D"(target), "+c"(count)
			 : "r"(LINEAR + 4095)
			 : "memory");
	put_text(to);
	put_text("\n");
}
