// Twins: Reference.sum_rows, sum_products, sums, moments, and the sums of standardise_leaky_relu_grad.
//
// A matrix (rows, columns) is reduced over its rows. A block of 256 threads is a little rectangle, `wide` columns
// (a power of two up to 32) by 256 / wide rows: neighbouring threads read neighbouring columns, which is how memory
// is fast. Each thread walks down its column a grid apart, the rectangle is folded in shared memory, and each block
// writes one row of partial results; a second launch reduces those. No atomics: the same bits each time.

#define THREADS 256

struct Place {
    int column, row, step, inside;  // my column, my first row, rows to the next one, my row in the rectangle
};

__device__ inline Place my_place(int wide) {
    int tall = THREADS / wide;
    int inside = threadIdx.x / wide;
    return {(int)(blockIdx.x * wide + threadIdx.x % wide), (int)(blockIdx.y * tall + inside),
            (int)(gridDim.y * tall), inside};
}

// Fold the rectangle: the upper half takes in the lower half until one row is left.
__device__ inline void fold_rectangle(float* cell, int wide) {
    for (int half = THREADS / 2; half >= wide; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) cell[threadIdx.x] += cell[threadIdx.x + half];
    }
}

extern "C" __global__ void sum_rows(const float* x, float* partial, int rows, int columns, int wide) {
    __shared__ float cell[THREADS];
    Place at = my_place(wide);
    float sum = 0.0f;
    if (at.column < columns)
        for (int row = at.row; row < rows; row += at.step) sum += x[row * columns + at.column];
    cell[threadIdx.x] = sum;
    fold_rectangle(cell, wide);
    if (at.inside == 0 && at.column < columns) partial[blockIdx.y * columns + at.column] = cell[threadIdx.x];
}

extern "C" __global__ void sum_products(const float* a, const float* b, float* partial, int rows, int columns,
                                        int wide) {
    __shared__ float cell[THREADS];
    Place at = my_place(wide);
    float sum = 0.0f;
    if (at.column < columns)
        for (int row = at.row; row < rows; row += at.step)
            sum += a[row * columns + at.column] * b[row * columns + at.column];
    cell[threadIdx.x] = sum;
    fold_rectangle(cell, wide);
    if (at.inside == 0 && at.column < columns) partial[blockIdx.y * columns + at.column] = cell[threadIdx.x];
}

// Both of these sums, with a function of a's entries in place of a: a row of partial results holds the sums, then those
// of the products.
template <typename Function>
__device__ void sum_both(const float* a, const float* b, float* partial, int rows, int columns, int wide,
                         Function function) {
    __shared__ float cell[THREADS];
    Place at = my_place(wide);
    float sum = 0.0f, products = 0.0f;
    if (at.column < columns)
        for (int row = at.row; row < rows; row += at.step) {
            float other = b[row * columns + at.column];
            float value = function(a[row * columns + at.column], other, at.column);
            sum += value;
            products += value * other;
        }
    bool mine = at.inside == 0 && at.column < columns;
    int place = blockIdx.y * 2 * columns + at.column;
    cell[threadIdx.x] = sum;
    fold_rectangle(cell, wide);
    if (mine) partial[place] = cell[threadIdx.x];
    __syncthreads();
    cell[threadIdx.x] = products;
    fold_rectangle(cell, wide);
    if (mine) partial[place + columns] = cell[threadIdx.x];
}

extern "C" __global__ void sums(const float* a, const float* b, float* partial, int rows, int columns, int wide) {
    sum_both(a, b, partial, rows, columns, wide, [](float value, float, int) { return value; });
}

// a is the cotangent of a leaky ReLU of gamma b + beta.
extern "C" __global__ void rectified_sums(const float* dy, const float* x_hat, const float* gamma, const float* beta,
                                          float* partial, float slope, int rows, int columns, int wide) {
    sum_both(dy, x_hat, partial, rows, columns, wide, [=](float value, float normalised, int c) {
        return bent_grad(value, gamma[c] * normalised + beta[c], slope);
    });
}

// A set of numbers as its size, its mean and its sum of squared deviations from the mean. Two such sets join without
// the cancellation that E[x^2] - E[x]^2 suffers from (Chan, Golub & LeVeque 1983, equation 2.1).
struct Spread {
    float n, mean, squares;
};

__device__ inline Spread join(Spread a, Spread b) {
    float n = a.n + b.n;
    if (n == 0.0f) return a;
    float d = b.mean - a.mean, share = b.n / n;
    return {n, a.mean + d * share, a.squares + b.squares + d * d * a.n * share};
}

__device__ inline void fold_spreads(Spread* cell, int wide) {
    for (int half = THREADS / 2; half >= wide; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.x < half) cell[threadIdx.x] = join(cell[threadIdx.x], cell[threadIdx.x + half]);
    }
}

extern "C" __global__ void moments_partial(const float* x, float* counts, float* means, float* squares, int rows,
                                           int columns, int wide) {
    __shared__ Spread cell[THREADS];
    Place at = my_place(wide);
    Spread mine = {0.0f, 0.0f, 0.0f};
    if (at.column < columns && at.row < rows) {
        // Deviations from the first number seen: sums of small numbers, whatever the mean.
        float first = x[at.row * columns + at.column], sum = 0.0f, sum_of_squares = 0.0f;
        for (int row = at.row; row < rows; row += at.step) {
            float d = x[row * columns + at.column] - first;
            sum += d;
            sum_of_squares += d * d;
            mine.n += 1.0f;
        }
        mine.mean = first + sum / mine.n;
        mine.squares = sum_of_squares - sum * sum / mine.n;
    }
    cell[threadIdx.x] = mine;
    fold_spreads(cell, wide);
    if (at.inside == 0 && at.column < columns) {
        int place = blockIdx.y * columns + at.column;
        counts[place] = cell[threadIdx.x].n;
        means[place] = cell[threadIdx.x].mean;
        squares[place] = cell[threadIdx.x].squares;
    }
}

extern "C" __global__ void moments_join(const float* counts, const float* means, const float* squares, float* mean,
                                        float* variance, int parts, int columns, int wide) {
    __shared__ Spread cell[THREADS];
    Place at = my_place(wide);
    Spread mine = {0.0f, 0.0f, 0.0f};
    if (at.column < columns)
        for (int row = at.row; row < parts; row += at.step) {
            int place = row * columns + at.column;
            mine = join(mine, Spread{counts[place], means[place], squares[place]});
        }
    cell[threadIdx.x] = mine;
    fold_spreads(cell, wide);
    if (at.inside == 0 && at.column < columns) {
        mean[at.column] = cell[threadIdx.x].mean;
        variance[at.column] = cell[threadIdx.x].squares / cell[threadIdx.x].n;
    }
}
