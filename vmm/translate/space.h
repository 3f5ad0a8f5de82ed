/*
 * What holds in one guest address space only: which translation an indirect branch to an address
 * leads to, and what the direct branches from page to page are linked to. The tables lie in the
 * run-time area (struct runtime_space).
 */
#ifndef REPRISE_VMM_TRANSLATE_SPACE_H
#define REPRISE_VMM_TRANSLATE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/translate/runtime.h"

struct spaces;

/* area: the run-time area's file as mapped for writing. Returns 0 or -ENOMEM. */
int spaces_create(uint8_t *area, struct spaces **ret_spaces);
void spaces_destroy(struct spaces *spaces);

/* Forgets everything, links included. */
void spaces_flush(struct spaces *spaces);

void spaces_select(struct spaces *spaces, unsigned space);
void spaces_drop(struct spaces *spaces, unsigned space);
/* Forgets what leads to the page, or to an instruction that ends in it. */
void spaces_drop_page(struct spaces *spaces, unsigned space, uint64_t linear);

/*
 * Whether what is known to lead to a linear page has been noted in the selected space, so that only
 * what comes new has to be. Asking makes it so.
 */
bool spaces_page_is_warm(struct spaces *spaces, uint64_t linear);

/* The links to a page: the first, and the one after another; UINT32_MAX when there is no more. */
uint32_t spaces_first_link(const struct spaces *spaces, uint64_t linear);
uint32_t spaces_next_link(const struct spaces *spaces, uint32_t link);
uint64_t spaces_link_rip(const struct spaces *spaces, uint32_t link);
/* Whether it is set in the selected space. */
bool spaces_link_is_set(const struct spaces *spaces, uint32_t link);

/* In the selected space: indirect branches to rip lead to a linear address of code. */
void spaces_note(struct spaces *spaces, uint64_t rip, uint64_t code);

/* Where they lead; 0: nowhere that is known, or the look-up would miss. */
uint64_t spaces_noted(const struct spaces *spaces, uint64_t rip);

/* A new link to rip, or UINT32_MAX when there are no more. */
uint32_t spaces_add_link(struct spaces *spaces, uint64_t rip);
/* What a new link leads to in spaces where it has not been set: its exit. To be told before another
 * space is selected. */
void spaces_set_default(struct spaces *spaces, uint32_t link, uint64_t code);
/* In the selected space. */
void spaces_set_link(struct spaces *spaces, uint32_t link, uint64_t code);

/* Where translated code finds a link. */
static inline uint32_t space_link_address(uint32_t link)
{
	return RUNTIME_BASE + RUNTIME_SPACE + (uint32_t)offsetof(struct runtime_space, link) +
	       8 * link;
}

#endif
