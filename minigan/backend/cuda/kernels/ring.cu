// Twin: minigan.backend.cuda.graph.StepGraph.reports reads what these write.
//
// A table of the last `capacity` steps' losses in device memory, so that the host need not wait for each one.

extern "C" __global__ void write_report(float* ring, const int* cursor, const float* value, int column, int columns,
                                        int capacity) {
    ring[(cursor[0] % capacity) * columns + column] = value[0];
}

extern "C" __global__ void advance_cursor(int* cursor) { cursor[0] += 1; }
