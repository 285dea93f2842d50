// Twins: Reference.unfold and Reference.fold.
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

extern "C" __global__ void fold(const float* patches, float* x, int count, int height, int width, int channels,
                                int ho, int wo, int kh, int kw, int sh, int sw, int ph, int pw) {
    collect_patches(patches, x, count, height, width, channels, ho, wo, kh, kw, sh, sw, ph, pw);
}

extern "C" __global__ void fold4(const float4* patches, float4* x, int count, int height, int width, int channels,
                                 int ho, int wo, int kh, int kw, int sh, int sw, int ph, int pw) {
    collect_patches(patches, x, count, height, width, channels, ho, wo, kh, kw, sh, sw, ph, pw);
}
