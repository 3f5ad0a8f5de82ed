/* What btf.h promises of types that come from a guest. */
#ifndef REPRISE_GDBSTUB_LINUX_BTF_CHECK_H
#define REPRISE_GDBSTUB_LINUX_BTF_CHECK_H

#include "gdbstub/linux/btf.h"

/* Records and strings lie inside already. Returns 0, -EINVAL, or -ENOMEM. */
int btf_check(const struct btf *btf);

#endif
