/* The agent's executable, as bytes of the tool. AGENT_FILE is its path, from the build. */
	.section .rodata
	.globl	agent_blob, agent_blob_bytes
	.hidden	agent_blob, agent_blob_bytes
	.balign	8
agent_blob_bytes:
	.quad	agent_blob_end - agent_blob
agent_blob:
	.incbin	AGENT_FILE
agent_blob_end:
	.section .note.GNU-stack, "", @progbits
