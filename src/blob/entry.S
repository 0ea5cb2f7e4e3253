/* What C cannot express: the entry point, raw system calls, a child on another stack, rt_sigreturn. */
	.section .text.entry, "ax"
	.globl agent, child_entry, syscall_insn, call, spawn, spawn_by_clone, leave
	.hidden child, serve, call, spawn, spawn_by_clone, leave
	.section .note.GNU-stack, "", @progbits
	.section .text.entry, "ax"

/* Entered from exec, or by jumping here with any stack. */
agent:
	xorl	%ebp, %ebp
	andq	$-16, %rsp
	call	serve

/* long call(long number, const u64 *arg) */
call:
	movq	%rdi, %rax
	movq	%rsi, %r11
	movq	(%r11), %rdi
	movq	8(%r11), %rsi
	movq	16(%r11), %rdx
	movq	24(%r11), %r10
	movq	32(%r11), %r8
	movq	40(%r11), %r9
syscall_insn:
	syscall
	ret

/* long spawn(u64 args, u64 size, u64 context, u64 steps): the child's stack may be empty. */
spawn:
	pushq	%r12
	pushq	%r13
	movq	%rdx, %r12
	movq	%rcx, %r13
	movl	$435, %eax
spawned:
	syscall
	testq	%rax, %rax
	jz	child_entry
	popq	%r13
	popq	%r12
	ret
child_entry:
	xorl	%ebp, %ebp
	andq	$-16, %rsp
	movq	%r12, %rdi
	movq	%r13, %rsi
	call	child

/* long spawn_by_clone(u64 args, u64 size, u64 context, u64 steps): of the same struct clone_args what clone(2) can take. */
spawn_by_clone:
	pushq	%r12
	pushq	%r13
	movq	%rdx, %r12
	movq	%rcx, %r13
	movq	%rdi, %r9
	movq	(%r9), %rdi
	orq	32(%r9), %rdi
	movq	40(%r9), %rsi
	addq	48(%r9), %rsi
	movq	24(%r9), %rdx
	movq	16(%r9), %r10
	movq	56(%r9), %r8
	movl	$56, %eax
	jmp	spawned

/* void leave(u64 stack) */
leave:
	movq	%rdi, %rsp
	movl	$15, %eax
	syscall
