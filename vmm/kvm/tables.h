/*
 * The page tables that the VM walks: one more cache of translations of guest user memory, kept for
 * each of the mmu's spaces. An entry holds only what a walk of the guest's tables by user code
 * would give now (docs/kvm.md): present once the guest's accessed bits are set, writable once its
 * dirty bit is set and the page's flag byte is 0.
 *
 * How KVM is made to notice changes:
 *  - Entries get wider by plain stores.
 *  - Narrower ones are remembered (struct kvm_narrowing), and executed in the VM before the space
 *    runs again. A space with many of them gets new tables instead.
 *  - Pages of tables come from a pool and are never used twice before the pool's memory slot is
 * made anew, since KVM remembers what it derived from a page by its number.
 */
#ifndef REPRISE_VMM_KVM_TABLES_H
#define REPRISE_VMM_KVM_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/machine.h"
#include "vmm/mmu/mmu.h"

#define KVM_TABLES_PAGES 8192u
#define KVM_TABLES_BYTES ((uint64_t)KVM_TABLES_PAGES * PAGE_BYTES)

/* More than this and new tables are cheaper. */
#define KVM_NARROWINGS_MAX 24

/* An entry that has become narrower. */
struct kvm_narrowing {
	uint64_t entry_linear; /* of the entry in the VM */
	uint64_t linear;       /* that it translates, in the VM */
};

struct kvm_tables;

struct kvm_tables_statistics {
	uint64_t fills;        /* misses that were filled */
	uint64_t entries;      /* that became present or writable by that */
	uint64_t first_writes; /* pages marked written */
	uint64_t narrowings;
	uint64_t new_roots;
	uint64_t renewals; /* of the pool */
};

/*
 * Makes tables for a machine and listens to its mmu. low_table: physical addresses of what entry 0
 * of each space's root points to; borrowed, read when a root is made. Returns 0 or -ENOMEM,
 * -ENOSPC.
 */
int kvm_tables_create(struct machine *machine, const uint64_t low_table[MMU_SPACES],
		      struct kvm_tables **ret_tables);
void kvm_tables_destroy(struct kvm_tables *tables);

/* The pool: KVM_TABLES_BYTES of the host's memory. */
void *kvm_tables_pool(const struct kvm_tables *tables);

/* Physical address of the root for the space, made if need be. Sets *ret_renew: the pool's slot
 * must be made anew before the VM runs. */
uint64_t kvm_tables_root(struct kvm_tables *tables, unsigned space, bool *ret_renew);

/*
 * Entries of the space that became narrower since this was last called; at most KVM_NARROWINGS_MAX.
 * To be called after kvm_tables_root(). They are forgotten.
 */
unsigned kvm_tables_take_narrowings(struct kvm_tables *tables, unsigned space,
				    struct kvm_narrowing ret[KVM_NARROWINGS_MAX]);

/*
 * Fills around a guest linear address that the VM could not access, in the selected space. Returns
 * true when the access can be tried again; false when it faults in the guest, or changes what the
 * guest can see: an interpreter must carry it out. Changes nothing that the guest can see.
 */
bool kvm_tables_fill(struct kvm_tables *tables, struct cpu *cpu, uint64_t linear, bool write);

/* Guest address of a range that measuring uses; each has a table of level 1. */
#define KVM_TABLES_PROBE(range) ((range)*UINT64_C(0x200000))

/*
 * For measuring what a fill costs, before the guest runs: the first n pages of guest RAM, at most
 * 512, appear in space 0 in a range, to be read. kvm_tables_flush() ends that.
 */
void kvm_tables_probe(struct kvm_tables *tables, unsigned range, unsigned n);

/* Forgets everything. */
void kvm_tables_flush(struct kvm_tables *tables);

const struct kvm_tables_statistics *kvm_tables_statistics(const struct kvm_tables *tables);

#endif
