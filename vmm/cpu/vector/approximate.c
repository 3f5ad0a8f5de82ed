/* Instructions whose results differ between CPU models; approximate.h. */
#include "vmm/cpu/vector/approximate.h"

#include "vmm/cpu/vector/native.h"

void approximate_sse_compute(enum approximate_sse which, void *destination, const void *source)
{
	static const struct {
		uint8_t prefix, opcode;
	} code[] = {
		[APPROXIMATE_RCPPS] = {0, 0x53},
		[APPROXIMATE_RCPSS] = {2, 0x53},
		[APPROXIMATE_RSQRTPS] = {0, 0x52},
		[APPROXIMATE_RSQRTSS] = {2, 0x52},
	};

	native_kernel(native_xmm_0f[code[which].prefix][code[which].opcode])(destination, source);
}

bool approximate_x87_is(uint8_t modrm)
{
	switch (modrm) {
	case 0xf0: /* F2XM1 */
	case 0xf1: /* FYL2X */
	case 0xf2: /* FPTAN */
	case 0xf3: /* FPATAN */
	case 0xf9: /* FYL2XP1 */
	case 0xfb: /* FSINCOS */
	case 0xfe: /* FSIN */
	case 0xff: /* FCOS */
		return true;
	default:
		return false;
	}
}

void approximate_x87_compute(uint8_t modrm, struct fx_state *image)
{
	native_x87_run(image, native_x87_register[1][modrm & 63], NULL, 0);
}
