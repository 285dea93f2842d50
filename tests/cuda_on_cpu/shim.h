// Enough of CUDA to run a kernel's body on the CPU: one block after the other; within a block one thread after the
// other, each from barrier to barrier. Generated code includes this, then the kernels, then a function per kernel.
#pragma once
#include <math.h>
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
constexpr size_t STACK = 64 * 1024;
static std::vector<ucontext_t> contexts;
static std::vector<char> stacks;
static std::vector<char> finished;
static ucontext_t scheduler;
static std::function<void()> body;
static unsigned current;

static void entry() {
    body();
    finished[current] = 1;
}

// Returns false if some threads of a block wait at a barrier that others have passed by.
static bool run_block(unsigned threads, bool backwards) {
    contexts.resize(threads);
    stacks.resize(threads * STACK);
    finished.assign(threads, 0);
    for (unsigned t = 0; t < threads; t++) {
        getcontext(&contexts[t]);
        contexts[t].uc_stack.ss_sp = &stacks[t * STACK];
        contexts[t].uc_stack.ss_size = STACK;
        contexts[t].uc_link = &scheduler;
        makecontext(&contexts[t], entry, 0);
    }
    unsigned waiting = threads;
    while (waiting > 0) {
        unsigned still = 0;
        for (unsigned k = 0; k < threads; k++) {
            current = backwards ? threads - 1 - k : k;
            threadIdx = {current, 0, 0};
            swapcontext(&scheduler, &contexts[current]);
            still += !finished[current];
        }
        if (still != 0 && still != threads) return false;
        waiting = still;
    }
    return true;
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

static inline void __syncthreads() { swapcontext(&shim::contexts[shim::current], &shim::scheduler); }
