// The peers as plain functions over dense arrays, outermost dimension first.
#include <HalideRuntime.h>
#include <cstdint>

extern "C" {

#define PEER(name) int name(halide_buffer_t *in, halide_buffer_t *out);
PEER(blur_8)
PEER(blur_32)
PEER(unsharp)
PEER(local_laplacian)
PEER(attention)
PEER(inverted_residual)

// dims: rank of the input and of the output, then their extents, innermost first; floats: 1 for float32, 0 for uint16.
int call_peer(int which, void *input, void *output, const int32_t *dims, int floats) {
  static int (*const peers[])(halide_buffer_t *, halide_buffer_t *) = {blur_8, blur_32, unsharp, local_laplacian, attention, inverted_residual};
  halide_dimension_t shape[2][4];
  halide_buffer_t buffers[2] = {};
  const int32_t *extents = dims + 2;
  for (int b = 0; b < 2; b++) {
    int32_t stride = 1;
    const int rank = dims[b];
    for (int d = 0; d < rank; d++) {
      const int32_t extent = *extents++;
      shape[b][d] = halide_dimension_t(0, extent, stride);
      stride *= extent;
    }
    buffers[b].dim = shape[b];
    buffers[b].dimensions = rank;
    buffers[b].host = static_cast<uint8_t *>(b == 0 ? input : output);
    buffers[b].type = floats ? halide_type_of<float>() : halide_type_of<uint16_t>();
  }
  return peers[which](&buffers[0], &buffers[1]);
}

int set_threads(int n) { return halide_set_num_threads(n); }
}
