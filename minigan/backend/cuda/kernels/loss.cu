// Twins: Reference.mean_probability, and Reference.bce_with_logits for a target that is a number. One block: a batch has
// a logit per sample.

#define THREADS 256

// Fold the sums of all threads into the first.
__device__ inline float fold_sums(float* cell, float sum) {
    cell[threadIdx.x] = sum;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) cell[threadIdx.x] += cell[threadIdx.x + half];
    }
    return cell[0];
}

extern "C" __global__ void mean_probability(const float* logits, float* mean, int count) {
    __shared__ float cell[THREADS];
    float sum = 0.0f;
    for (int i = threadIdx.x; i < count; i += THREADS)
        sum += expf(fminf(logits[i], 0.0f)) / (1.0f + expf(-fabsf(logits[i])));
    float total = fold_sums(cell, sum);
    if (threadIdx.x == 0) mean[0] = total / count;
}

extern "C" __global__ void bce_with_logits(const float* logits, float target, float* loss, float* dlogits,
                                           int count) {
    __shared__ float cell[THREADS];
    float sum = 0.0f;
    for (int i = threadIdx.x; i < count; i += THREADS) {
        float l = logits[i];
        float e = expf(-fabsf(l));
        sum += fmaxf(l, 0.0f) - target * l + log1pf(e);
        float probability = (l < 0.0f ? e : 1.0f) / (1.0f + e);
        dlogits[i] = (probability - target) / count;
    }
    float total = fold_sums(cell, sum);
    if (threadIdx.x == 0) loss[0] = total / count;
}
