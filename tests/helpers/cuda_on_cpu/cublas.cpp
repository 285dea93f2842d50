// The seven cuBLAS routines that minigan calls, on the CPU: to test what is asked of cuBLAS, not cuBLAS.
#include <cstddef>

static void *stream = nullptr, *workspace = nullptr;
static int math_mode = -1;

template <typename T>
static int product(int opa, int opb, int m, int n, int k, const T* alpha, const T* a, int lda, const T* b, int ldb,
                   const T* beta, T* c, int ldc) {
    if (workspace == nullptr) return 14;  // CUBLAS_STATUS_INTERNAL_ERROR: setting a stream takes the workspace away
    if (lda < (opa ? k : m) || ldb < (opb ? n : k) || ldc < m) return 7;  // CUBLAS_STATUS_INVALID_VALUE
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            double sum = 0;
            for (int l = 0; l < k; l++)
                sum += (double)(opa ? a[l + (size_t)i * lda] : a[i + (size_t)l * lda]) *
                       (double)(opb ? b[j + (size_t)l * ldb] : b[l + (size_t)j * ldb]);
            T& out = c[i + (size_t)j * ldc];
            out = (T)(*alpha * sum) + (*beta == 0 ? T(0) : *beta * out);
        }
    return 0;
}

template <typename T>
static int products(int opa, int opb, int m, int n, int k, const T* alpha, const T* a, int lda, long long step_a,
                    const T* b, int ldb, long long step_b, const T* beta, T* c, int ldc, long long step_c, int count) {
    int status = 0;
    for (int i = 0; i < count && status == 0; i++)
        status = product(opa, opb, m, n, k, alpha, a + i * step_a, lda, b + i * step_b, ldb, beta, c + i * step_c, ldc);
    return status;
}

extern "C" {
int cublasCreate_v2(void** handle) {
    *handle = (void*)1;
    return 0;
}
int cublasSetStream_v2(void*, void* s) {
    stream = s;
    workspace = nullptr;
    return 0;
}
int cublasSetWorkspace_v2(void*, void* w, size_t) {
    workspace = w;
    return 0;
}
int cublasSetMathMode(void*, int mode) {
    math_mode = mode;
    return 0;
}
int current_math_mode() { return math_mode; }
int cublasSgemm_v2(void*, int opa, int opb, int m, int n, int k, const float* alpha, const float* a, int lda,
                   const float* b, int ldb, const float* beta, float* c, int ldc) {
    return product(opa, opb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
int cublasDgemm_v2(void*, int opa, int opb, int m, int n, int k, const double* alpha, const double* a, int lda,
                   const double* b, int ldb, const double* beta, double* c, int ldc) {
    return product(opa, opb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
int cublasSgemmStridedBatched(void*, int opa, int opb, int m, int n, int k, const float* alpha, const float* a,
                              int lda, long long step_a, const float* b, int ldb, long long step_b, const float* beta,
                              float* c, int ldc, long long step_c, int count) {
    return products(opa, opb, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta, c, ldc, step_c, count);
}
int cublasDgemmStridedBatched(void*, int opa, int opb, int m, int n, int k, const double* alpha, const double* a,
                              int lda, long long step_a, const double* b, int ldb, long long step_b,
                              const double* beta, double* c, int ldc, long long step_c, int count) {
    return products(opa, opb, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta, c, ldc, step_c, count);
}
}
