// Enough of CUDA to run a kernel's body on the CPU: one block after the other; within a block one thread after the
// other, each from barrier to barrier. Generated code includes this, then the kernels, then a function per kernel.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct uint3 {
    unsigned x, y, z;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

static uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace shim {
constexpr unsigned MOST = 256;
constexpr size_t STACK = 64 * 1024;
static ucontext_t start[MOST];
static jmp_buf inside[MOST], scheduler;
static std::vector<char> stacks(MOST* STACK);
static bool started[MOST], finished[MOST];
static std::function<void()> body;
static unsigned current;

static void pause_thread() {
    if (_setjmp(inside[current]) == 0) _longjmp(scheduler, 1);
}

// A thread's stack serves one block after the other. (Jumps cost far less than swapcontext, which asks the kernel.)
static void entry() {
    for (;;) {
        body();
        finished[current] = true;
        pause_thread();
    }
}

static void resume(unsigned thread) {
    current = thread;
    threadIdx = {thread, 0, 0};
    if (_setjmp(scheduler) != 0) return;
    if (started[thread]) _longjmp(inside[thread], 1);
    started[thread] = true;
    getcontext(&start[thread]);
    start[thread].uc_stack.ss_sp = &stacks[thread * STACK];
    start[thread].uc_stack.ss_size = STACK;
    start[thread].uc_link = nullptr;
    makecontext(&start[thread], entry, 0);
    setcontext(&start[thread]);
}

// Returns false if some threads of a block wait at a barrier that others have passed by.
static bool run_block(unsigned threads, bool backwards) {
    for (unsigned t = 0; t < threads; t++) finished[t] = false;
    for (;;) {
        unsigned waiting = 0;
        for (unsigned k = 0; k < threads; k++) {
            resume(backwards ? threads - 1 - k : k);
            waiting += !finished[current];
        }
        if (waiting == 0) return true;
        if (waiting != threads) return false;
    }
}

static int launch(unsigned bx, unsigned by, unsigned threads, bool has_barrier, bool backwards,
                  std::function<void()> kernel) {
    body = std::move(kernel);
    blockDim = {threads, 1, 1};
    gridDim = {bx, by, 1};
    for (unsigned b = 0; b < bx * by; b++) {
        unsigned block = backwards ? bx * by - 1 - b : b;
        blockIdx = {block % bx, block / bx, 0};
        if (has_barrier) {
            if (!run_block(threads, backwards)) return 1;
            continue;
        }
        for (unsigned k = 0; k < threads; k++) {
            threadIdx = {backwards ? threads - 1 - k : k, 0, 0};
            body();
        }
    }
    return 0;
}
}  // namespace shim

static inline void __syncthreads() { shim::pause_thread(); }
