// Preloaded into linux.uml on processors whose register state is wider than
// the one User Mode Linux was built for (AMX: 11008 octets instead of 2696).
//
// The kernel takes NT_X86_XSTATE only in its full width, so every guest would
// die on its first return to user space.  What the guest's kernel hands over
// is completed here; the tile registers beyond it are never enabled in a guest
// and stay in their initial state.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define NT_X86_XSTATE 0x202
// XSTATE_BV, the set of components that are not in their initial state.
#define XSTATE_BV 512
// x87, SSE, AVX, bound registers, AVX-512, protection keys.
#define KNOWN_COMPONENTS 0x2ffULL

typedef long (*ptrace_call)(int, int, void *, void *);

// Not on the stack: the caller runs on a kernel stack of a few pages.  There is
// one thread in which a guest's kernel runs, so one buffer is enough.
static unsigned char whole[65536];

long ptrace(enum __ptrace_request request, ...) {
    static ptrace_call real;
    static size_t width;
    va_list arguments;
    va_start(arguments, request);
    int pid = va_arg(arguments, int);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (!real)
        real = (ptrace_call)dlsym(RTLD_NEXT, "ptrace");
    if (request != PTRACE_SETREGSET || (uintptr_t)address != NT_X86_XSTATE)
        return real(request, pid, address, data);

    struct iovec *given = data;
    struct iovec full = {.iov_base = whole, .iov_len = sizeof whole};
    if (!width) {
        if (real(PTRACE_GETREGSET, pid, address, &full) < 0)
            return -1;
        width = full.iov_len;
    }
    if (given->iov_len >= width || given->iov_len < XSTATE_BV + sizeof(uint64_t))
        return real(request, pid, address, data);

    uint64_t components;
    memset(whole, 0, width);
    memcpy(whole, given->iov_base, given->iov_len);
    memcpy(&components, whole + XSTATE_BV, sizeof components);
    components &= KNOWN_COMPONENTS;
    memcpy(whole + XSTATE_BV, &components, sizeof components);
    full.iov_len = width;
    return real(request, pid, address, &full);
}
