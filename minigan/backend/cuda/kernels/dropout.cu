// Twin: minigan.backend.cuda.philox.dropout_mask.
//
// Philox 4x32-10 (Salmon, Moraes, Dror & Shaw 2011): a random function of a counter, so entry i needs no state and
// no neighbour. A seed per mask is drawn on the host; it lies in device memory because a recorded graph would keep
// repeating a value that the host had passed.

extern "C" __global__ void set_seed(unsigned long long* seeds, int place, unsigned long long seed) {
    seeds[place] = seed;
}

__device__ inline void philox(unsigned* counter, unsigned key0, unsigned key1) {
    for (int round = 0; round < 10; round++) {
        unsigned long long left = 0xD2511F53ull * counter[0], right = 0xCD9E8D57ull * counter[2];
        unsigned c1 = counter[1], c3 = counter[3];
        counter[0] = (unsigned)(right >> 32) ^ c1 ^ key0;
        counter[1] = (unsigned)right;
        counter[2] = (unsigned)(left >> 32) ^ c3 ^ key1;
        counter[3] = (unsigned)left;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

// Each thread makes four random numbers, and with them the mask's entries 4 i to 4 i + 3.
extern "C" __global__ void dropout_mask(float* mask, const unsigned long long* seeds, int place, float p,
                                        float scale, int count) {
    unsigned long long seed = seeds[place];
    FOR_EACH(i, (count + 3) / 4) {
        unsigned number[4] = {i, 0u, 0u, 0u};
        philox(number, (unsigned)seed, (unsigned)(seed >> 32));
        for (unsigned k = 0; k < 4 && 4 * i + k < (unsigned)count; k++)
            // The upper 24 bits as a float in [0, 1), exactly.
            mask[4 * i + k] = (number[k] >> 8) * 0x1p-24f >= p ? scale : 0.0f;
    }
}
