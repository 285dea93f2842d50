// Twins: Reference.unfold and fold, upsample and upsample_grad.
//
// `channels` counts elements of T: floats, or groups of four floats.

template <typename T>
__device__ void gather_patches(const T* x, T* patches, int count, int height, int width, int channels, int ho,
                               int wo, int kh, int kw, int sh, int sw, int ph, int pw) {
    FOR_EACH(index, count) {
        unsigned rest = index;
        int c = rest % channels;
        rest /= channels;
        int j = rest % kw;
        rest /= kw;
        int i = rest % kh;
        rest /= kh;
        int q = rest % wo;
        rest /= wo;
        int p = rest % ho;
        int n = rest / ho;
        int row = p * sh + i - ph;
        int column = q * sw + j - pw;
        bool inside = row >= 0 && row < height && column >= 0 && column < width;
        patches[index] = inside ? x[((n * height + row) * width + column) * channels + c] : T{};
    }
}

// The adjoint, turned round: not "each patch adds its entries to pixels", where two patches could write to one
// pixel at once, but "each pixel collects from the patches that saw it". No atomics, and the same bits each time.
template <typename T>
__device__ void collect_patches(const T* patches, T* x, int count, int height, int width, int channels, int ho,
                                int wo, int kh, int kw, int sh, int sw, int ph, int pw) {
    FOR_EACH(index, count) {
        unsigned rest = index;
        int c = rest % channels;
        rest /= channels;
        int column = rest % width + pw;
        rest /= width;
        int row = rest % height + ph;
        int n = rest / height;
        T sum{};
        // Window p saw this row at its place i = row - p sh, so i runs over the residues of row modulo sh.
        for (int i = row % sh; i < kh && i <= row; i += sh) {
            int p = (row - i) / sh;
            if (p >= ho) continue;
            for (int j = column % sw; j < kw && j <= column; j += sw) {
                int q = (column - j) / sw;
                if (q >= wo) continue;
                add_to(sum, patches[((((n * ho + p) * wo + q) * kh + i) * kw + j) * channels + c]);
            }
        }
        x[index] = sum;
    }
}

extern "C" __global__ void unfold(const float* x, float* patches, int count, int height, int width, int channels,
                                  int ho, int wo, int kh, int kw, int sh, int sw, int ph, int pw) {
    gather_patches(x, patches, count, height, width, channels, ho, wo, kh, kw, sh, sw, ph, pw);
}

extern "C" __global__ void unfold4(const float4* x, float4* patches, int count, int height, int width,
                                   int channels, int ho, int wo, int kh, int kw, int sh, int sw, int ph, int pw) {
    gather_patches(x, patches, count, height, width, channels, ho, wo, kh, kw, sh, sw, ph, pw);
}

// Where channels don't come in fours, but the taps of a row do: the numbers of a window's row lie side by side in the
// image and in the patch, so they are moved as one run, four at a time. `line` is a row of the image, `run` one of the
// window, `step` and `before` are the stride and the padding, all in numbers instead of pixels.
extern "C" __global__ void unfold_runs(const float* x, float4* patches, int count, int height, int line, int ho, int wo,
                                       int kh, int run, int sh, int step, int ph, int before) {
    FOR_EACH(index, count) {
        unsigned rest = index;
        int entry = rest % (run / 4) * 4;
        rest /= run / 4;
        int i = rest % kh;
        rest /= kh;
        int q = rest % wo;
        rest /= wo;
        int p = rest % ho;
        int n = rest / ho;
        int row = p * sh + i - ph;
        int at = q * step - before + entry;
        float4 moved{};
        if (row >= 0 && row < height) {
            const float* source = x + (n * height + row) * line;
            if (at >= 0 && at < line) moved.x = source[at];
            if (at + 1 >= 0 && at + 1 < line) moved.y = source[at + 1];
            if (at + 2 >= 0 && at + 2 < line) moved.z = source[at + 2];
            if (at + 3 >= 0 && at + 3 < line) moved.w = source[at + 3];
        }
        patches[index] = moved;
    }
}

extern "C" __global__ void fold(const float* patches, float* x, int count, int height, int width, int channels,
                                int ho, int wo, int kh, int kw, int sh, int sw, int ph, int pw) {
    collect_patches(patches, x, count, height, width, channels, ho, wo, kh, kw, sh, sw, ph, pw);
}

extern "C" __global__ void fold4(const float4* patches, float4* x, int count, int height, int width, int channels,
                                 int ho, int wo, int kh, int kw, int sh, int sw, int ph, int pw) {
    collect_patches(patches, x, count, height, width, channels, ho, wo, kh, kw, sh, sw, ph, pw);
}

// Here height, width and channels are those of the smaller image.
template <typename T>
__device__ void repeat_pixels(const T* x, T* y, int count, int height, int width, int channels, int fh, int fw) {
    FOR_EACH(index, count) {
        unsigned rest = index;
        int c = rest % channels;
        rest /= channels;
        int column = rest % (fw * width) / fw;
        rest /= fw * width;
        int row = rest % (fh * height) / fh;
        int n = rest / (fh * height);
        y[index] = x[((n * height + row) * width + column) * channels + c];
    }
}

template <typename T>
__device__ void collect_pixels(const T* dy, T* dx, int count, int height, int width, int channels, int fh, int fw) {
    FOR_EACH(index, count) {
        unsigned rest = index;
        int c = rest % channels;
        rest /= channels;
        int column = rest % width;
        rest /= width;  // rows of all images, one below the other
        T sum{};
        for (int i = 0; i < fh; i++)
            for (int j = 0; j < fw; j++)
                add_to(sum, dy[((rest * fh + i) * (fw * width) + column * fw + j) * channels + c]);
        dx[index] = sum;
    }
}

extern "C" __global__ void upsample(const float* x, float* y, int count, int height, int width, int channels, int fh,
                                    int fw) {
    repeat_pixels(x, y, count, height, width, channels, fh, fw);
}

extern "C" __global__ void upsample4(const float4* x, float4* y, int count, int height, int width, int channels,
                                     int fh, int fw) {
    repeat_pixels(x, y, count, height, width, channels, fh, fw);
}

extern "C" __global__ void upsample_grad(const float* dy, float* dx, int count, int height, int width, int channels,
                                         int fh, int fw) {
    collect_pixels(dy, dx, count, height, width, channels, fh, fw);
}

extern "C" __global__ void upsample_grad4(const float4* dy, float4* dx, int count, int height, int width,
                                          int channels, int fh, int fw) {
    collect_pixels(dy, dx, count, height, width, channels, fh, fw);
}
