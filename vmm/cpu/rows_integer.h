/* Rows of insn_table.c: ROW(mnemonic without ZYDIS_MNEMONIC_, exec function, flags). */
