// Twin: Reference.adam (Kingma & Ba 2015, Algorithm 1).
//
// The numbers that change from step to step, the learning rate and the step's number t, lie in device memory: a
// recorded graph would keep repeating a value that the host had passed.

extern "C" __global__ void set_schedule(double* schedule, double lr, double t) {
    schedule[0] = lr;
    schedule[1] = t;
}

extern "C" __global__ void advance_schedule(double* schedule) { schedule[1] += 1.0; }

extern "C" __global__ void adam(float* theta, const float* g, float* m, float* v, const double* schedule,
                                double beta1, double beta2, double eps, int count) {
    __shared__ float step_size, correction;
    if (threadIdx.x == 0) {
        // In double: 1 - beta^t is a difference of near equals in the first steps.
        double t = schedule[1];
        step_size = (float)(schedule[0] / (1.0 - pow(beta1, t)));
        correction = (float)(1.0 / (1.0 - pow(beta2, t)));
    }
    __syncthreads();
    float b1 = (float)beta1, b2 = (float)beta2, rest1 = (float)(1.0 - beta1), rest2 = (float)(1.0 - beta2);
    float small = (float)eps;
    FOR_EACH(i, count) {
        float gradient = g[i];
        float first = b1 * m[i] + rest1 * gradient;
        float second = b2 * v[i] + rest2 * gradient * gradient;
        m[i] = first;
        v[i] = second;
        theta[i] -= step_size * first / (sqrtf(second * correction) + small);
    }
}
