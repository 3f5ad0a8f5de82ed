/*
 * What holds in one guest address space only: which translation an indirect branch to an address
 * leads to, what the direct branches from page to page are linked to, and where pages lie that were
 * translated for all spaces at once. The tables lie in the run-time area (struct runtime_space).
 */
#ifndef REPRISE_VMM_TRANSLATE_SPACE_H
#define REPRISE_VMM_TRANSLATE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/translate/runtime.h"

struct spaces;

/* Code that was translated for one linear address has no home. */
#define NO_HOME UINT32_MAX

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
 * what comes new has to be. Asking makes it so: the page has just been fetched from. home: of what
 * lies there, or NO_HOME.
 */
bool spaces_page_is_warm(struct spaces *spaces, uint64_t linear, uint32_t home);

/* The links from code without a home to a page: the first, and the one after another; UINT32_MAX
 * when there is no more. */
uint32_t spaces_first_link(const struct spaces *spaces, uint64_t linear);
uint32_t spaces_next_link(const struct spaces *spaces, uint32_t link);
/* Where it leads in the selected space. */
uint64_t spaces_link_rip(const struct spaces *spaces, uint32_t link);
/* Whether it is set in the selected space. */
bool spaces_link_is_set(const struct spaces *spaces, uint32_t link);

/* ---- homes: where a page of code lies in each space ---- */

/* Of a page of guest memory. NO_HOME when there are no more. */
uint32_t spaces_add_home(struct spaces *spaces, uint64_t gpa);
uint64_t spaces_home_gpa(const struct spaces *spaces, uint32_t home);

/*
 * From here on the home is at a linear page of the selected space. If something may lead to where
 * it was before, move says whether all that is known of the space is forgotten for that. Returns
 * whether the home is there now.
 */
bool spaces_settle(struct spaces *spaces, uint32_t home, uint64_t page, bool move);
/* Whether something in the selected space may lead to where it is; that address, which stays when
 * the space is forgotten; and whether it has been fetched from there and, since, nothing has
 * changed about that (false at times when it is so). */
bool spaces_is_settled(const struct spaces *spaces, uint32_t home);
uint64_t spaces_home(const struct spaces *spaces, uint32_t home);
bool spaces_home_is_warm(const struct spaces *spaces, uint32_t home);

/* Links from code of a home, and to it as far as that is known; as above. */
uint32_t spaces_first_from(const struct spaces *spaces, uint32_t home);
uint32_t spaces_next_from(const struct spaces *spaces, uint32_t link);
uint32_t spaces_first_to(const struct spaces *spaces, uint32_t home);
uint32_t spaces_next_to(const struct spaces *spaces, uint32_t link);
/* The home that it leads to, or NO_HOME. */
uint32_t spaces_link_target(const struct spaces *spaces, uint32_t link);
/* Whether the code that it leads out of is anywhere in the selected space. */
bool spaces_link_is_usable(const struct spaces *spaces, uint32_t link);
void spaces_set_target(struct spaces *spaces, uint32_t link, uint32_t home);

/* ---- noting ---- */

/* In the selected space: indirect branches to rip lead to a linear address of code. */
void spaces_note(struct spaces *spaces, uint64_t rip, uint64_t code);

/* Where they lead; 0: nowhere that is known, or the look-up would miss. */
uint64_t spaces_noted(const struct spaces *spaces, uint64_t rip);

/* A link to rip, or UINT32_MAX when there is none. home: of the code that it leads out of; rip
 * counts from there. */
uint32_t spaces_find_link(struct spaces *spaces, uint64_t rip, uint32_t home);
/* Another one; UINT32_MAX when there are no more. */
uint32_t spaces_add_link(struct spaces *spaces, uint64_t rip, uint32_t home);
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
