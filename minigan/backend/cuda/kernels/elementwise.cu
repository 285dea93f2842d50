// Twins: Reference.inverse_root, follow, standardise, standardise_leaky_relu, standardise_grad,
// standardise_leaky_relu_grad, masked, leaky_relu, leaky_relu_grad, bias_leaky_relu, bias_tanh and bias_sigmoid.
//
// One pass over memory each, where plain array code makes one for every operation. The vectors of a value per
// channel stay in the cache, so they are read one float at a time; they need no alignment.

extern "C" __global__ void inverse_root(const float* variance, float* inverse_s, float eps, int count) {
    FOR_EACH(i, count) inverse_s[i] = 1.0f / sqrtf(variance[i] + eps);
}

extern "C" __global__ void follow(float* running, const float* newest, float weight, float factor, int count) {
    FOR_EACH(i, count) running[i] += weight * (newest[i] * factor - running[i]);
}

extern "C" __global__ void standardise(const float* x, const float* mean, const float* inverse_s, const float* gamma,
                                       const float* beta, float* x_hat, float* y, int count, int channels) {
    FOR_EACH(i, count) {
        unsigned c = i % channels;
        float normalised = (x[i] - mean[c]) * inverse_s[c];
        x_hat[i] = normalised;
        y[i] = gamma[c] * normalised + beta[c];
    }
}

extern "C" __global__ void standardise_leaky_relu(const float* x, const float* mean, const float* inverse_s,
                                                  const float* gamma, const float* beta, float* x_hat, float* y,
                                                  float slope, int count, int channels) {
    FOR_EACH(i, count) {
        unsigned c = i % channels;
        float normalised = (x[i] - mean[c]) * inverse_s[c];
        x_hat[i] = normalised;
        y[i] = bent(gamma[c] * normalised + beta[c], slope);
    }
}

extern "C" __global__ void standardise_grad(const float* dy, const float* x_hat, const float* scale,
                                            const float* mean_dy, const float* mean_dyx, float* dx, int count,
                                            int channels) {
    FOR_EACH(i, count) {
        unsigned c = i % channels;
        dx[i] = scale[c] * (dy[i] - mean_dy[c] - x_hat[i] * mean_dyx[c]);
    }
}

// The same behind a leaky ReLU, whose sign is known from x_hat: `sums` holds dbeta, then dgamma, and share is 1 / m.
extern "C" __global__ void standardise_leaky_relu_grad(const float* dy, const float* x_hat, const float* inverse_s,
                                                       const float* gamma, const float* beta, const float* sums,
                                                       float* dx, float slope, float share, int count,
                                                       int channels) {
    FOR_EACH(i, count) {
        unsigned c = i % channels;
        float normalised = x_hat[i];
        float d = bent_grad(dy[i], gamma[c] * normalised + beta[c], slope);
        dx[i] = gamma[c] * inverse_s[c] * (d - share * sums[c] - normalised * (share * sums[channels + c]));
    }
}

extern "C" __global__ void masked(const float* x, const float* mask, float* y, int count) {
    FOR_EACH(i, count) y[i] = mask[i] > 0.0f ? x[i] * mask[i] : 0.0f;
}

extern "C" __global__ void leaky_relu(const float* x, float* y, float slope, int count) {
    FOR_EACH(i, count) y[i] = bent(x[i], slope);
}

extern "C" __global__ void leaky_relu_grad(const float* dy, const float* y, float* dx, float slope, int count) {
    FOR_EACH(i, count) dx[i] = bent_grad(dy[i], y[i], slope);
}

// y = f(x + b): a product's bias and the activation behind it.

extern "C" __global__ void bias_leaky_relu(const float* x, const float* bias, float* y, float slope, int count,
                                           int channels) {
    FOR_EACH(i, count) y[i] = bent(x[i] + bias[i % channels], slope);
}

extern "C" __global__ void bias_tanh(const float* x, const float* bias, float* y, int count, int channels) {
    FOR_EACH(i, count) y[i] = tanhf(x[i] + bias[i % channels]);
}

extern "C" __global__ void bias_sigmoid(const float* x, const float* bias, float* y, int count, int channels) {
    FOR_EACH(i, count) {
        float z = x[i] + bias[i % channels];
        y[i] = expf(fminf(z, 0.0f)) / (1.0f + expf(-fabsf(z)));
    }
}
