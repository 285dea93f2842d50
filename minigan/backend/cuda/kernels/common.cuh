// What all kernels share. Compiled in front of each file by minigan.backend.cuda.launch.
//
// Sizes are int: the host falls back to plain array code for arrays of 2^31 entries or more. Arrays are
// contiguous, batch first, channels last.

// Each thread takes entries one grid apart, so a grid of any size does the whole work.
#define FOR_EACH(i, n) \
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (unsigned)(n); i += gridDim.x * blockDim.x)

// Four floats are loaded and stored at once where channels come in fours: a quarter of the index arithmetic.
__device__ inline void add_to(float& sum, float x) { sum += x; }
__device__ inline void add_to(float4& sum, float4 x) {
    sum.x += x.x;
    sum.y += x.y;
    sum.z += x.z;
    sum.w += x.w;
}

// Leaky ReLU. A slope of 0 gives 0, even where x or dy is infinite; what is not a number is handed on.
__device__ inline float bent(float x, float slope) {
    if (slope == 0.0f) return x <= 0.0f ? 0.0f : x;
    return x > 0.0f ? x : x * slope;
}

// Its gradient; y has the sign of x.
__device__ inline float bent_grad(float dy, float y, float slope) {
    return y > 0.0f ? dy : slope == 0.0f ? 0.0f : dy * slope;
}
