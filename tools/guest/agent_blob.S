/* The agent's executable, as bytes of the tool. AGENT_FILE is its path, from the build. */
	.section .rodata
	.globl agent_blob, agent_blob_end
	.hidden agent_blob, agent_blob_end
	.balign 16
agent_blob:
	.incbin AGENT_FILE
agent_blob_end:
	.section .note.GNU-stack, "", @progbits
