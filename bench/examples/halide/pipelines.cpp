// Builds the peers: each pipeline with the CPU schedule that Halide's own apps folder publishes for it.
//   pipelines OUT_FOLDER   writes one object a pipeline and the runtime
#include <Halide.h>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace Halide;

namespace {

Var x("x"), y("y"), c("c"), k("k");

// Halide 14 takes a processor with bfloat16 for a Sapphire Rapids, whose VEX-encoded dot products Zen 4 does not have.
Target host() { return get_host_target().without_feature(Target::AVX512_SapphireRapids); }

void emit(Func f, const std::string &folder, const std::string &name, const std::vector<Argument> &args) {
  const Target target = host().with_feature(Target::NoRuntime);
  f.compile_to_object(folder + "/" + name + ".o", args, name, target);
}

// 3 x 3 box blur; strips of `rows` rows, vectors of `vec` pixels. Both pairs have been published.
void blur(const std::string &folder, const std::string &name, int rows, int vec) {
  ImageParam input(UInt(16), 2, "input");
  Func blur_x("blur_x"), blur_y("blur_y");
  Var yi("yi");
  blur_x(x, y) = (input(x, y) + input(x + 1, y) + input(x + 2, y)) / cast<uint16_t>(3);
  blur_y(x, y) = (blur_x(x, y) + blur_x(x, y + 1) + blur_x(x, y + 2)) / cast<uint16_t>(3);
  blur_y.split(y, y, yi, rows).parallel(y).vectorize(x, vec);
  blur_x.store_at(blur_y, y).compute_at(blur_y, yi).vectorize(x, vec);
  emit(blur_y, folder, name, {input});
}

// Unsharp mask of a planar float image.
void unsharp(const std::string &folder) {
  ImageParam input(Float(32), 3, "input");
  const float sigma = 1.5f;
  const auto weight = [=](int d) {
    return std::exp(-float(d * d) / (2 * sigma * sigma)) / (std::sqrt(2 * 3.14159265358979f) * sigma);
  };
  Func edge = BoundaryConditions::repeat_edge(input);
  Func gray("gray"), blur_y("blur_y"), blur_x("blur_x"), sharpen("sharpen"), ratio("ratio"), output("output");
  gray(x, y) = 0.299f * edge(x, y, 0) + 0.587f * edge(x, y, 1) + 0.114f * edge(x, y, 2);
  Expr down = weight(0) * gray(x, y);
  for (int d = 1; d <= 3; d++) {
    down += weight(d) * (gray(x, y - d) + gray(x, y + d));
  }
  blur_y(x, y) = down;
  Expr along = weight(0) * blur_y(x, y);
  for (int d = 1; d <= 3; d++) {
    along += weight(d) * (blur_y(x - d, y) + blur_y(x + d, y));
  }
  blur_x(x, y) = along;
  sharpen(x, y) = 2 * gray(x, y) - blur_x(x, y);
  ratio(x, y) = sharpen(x, y) / gray(x, y);
  output(x, y, c) = ratio(x, y) * input(x, y, c);

  Var yo("yo"), yi("yi");
  const int vec = host().natural_vector_size<float>();
  output.split(y, yo, yi, 32).vectorize(x, vec).parallel(yo).reorder(x, c, yi, yo);
  gray.compute_at(output, yi).store_at(output, yo).vectorize(x, vec);
  blur_y.compute_at(output, yi).store_at(output, yo).vectorize(x, vec);
  ratio.compute_at(output, yi).store_at(output, yo).vectorize(x, vec);
  emit(output, folder, "unsharp", {input});
}

Func downsample(Func f) {
  Func downx, downy;
  downx(x, y, _) = (f(2 * x - 1, y, _) + 3.0f * (f(2 * x, y, _) + f(2 * x + 1, y, _)) + f(2 * x + 2, y, _)) / 8.0f;
  downy(x, y, _) =
      (downx(x, 2 * y - 1, _) + 3.0f * (downx(x, 2 * y, _) + downx(x, 2 * y + 1, _)) + downx(x, 2 * y + 2, _)) / 8.0f;
  return downy;
}
Func upsample(Func f) {
  Func upx, upy;
  upx(x, y, _) = 0.25f * f((x / 2) - 1 + 2 * (x % 2), y, _) + 0.75f * f(x / 2, y, _);
  upy(x, y, _) = 0.25f * upx(x, (y / 2) - 1 + 2 * (y % 2), _) + 0.75f * upx(x, y / 2, _);
  return upy;
}

// Local Laplacian filter of a planar float image in [0, 1]; alpha = 1 / (levels - 1), beta = 1.
void local_laplacian(const std::string &folder, int width, int height) {
  const int J = 8, levels = 8;
  const float alpha = 1.0f / (levels - 1), beta = 1.0f;
  ImageParam input(Float(32), 3, "input");
  Func remap("remap");
  Expr fx = cast<float>(x) / 256.0f;
  remap(x) = alpha * fx * exp(-fx * fx / 2.0f);
  Func floating = BoundaryConditions::repeat_edge(input);
  Func gray("gray");
  gray(x, y) = 0.299f * floating(x, y, 0) + 0.587f * floating(x, y, 1) + 0.114f * floating(x, y, 2);

  std::vector<Func> gPyramid(J), lPyramid(J), inG(J), outL(J), outG(J);
  Expr level = k * (1.0f / (levels - 1));
  Expr idx = clamp(cast<int>(gray(x, y) * float(levels - 1) * 256.0f), 0, (levels - 1) * 256);
  gPyramid[0](x, y, k) = beta * (gray(x, y) - level) + level + remap(idx - 256 * k);
  for (int j = 1; j < J; j++) gPyramid[j](x, y, k) = downsample(gPyramid[j - 1])(x, y, k);
  lPyramid[J - 1](x, y, k) = gPyramid[J - 1](x, y, k);
  for (int j = J - 2; j >= 0; j--) {
    lPyramid[j](x, y, k) = gPyramid[j](x, y, k) - upsample(gPyramid[j + 1])(x, y, k);
  }
  inG[0](x, y) = gray(x, y);
  for (int j = 1; j < J; j++) inG[j](x, y) = downsample(inG[j - 1])(x, y);
  for (int j = 0; j < J; j++) {
    Expr l = inG[j](x, y) * float(levels - 1);
    Expr li = clamp(cast<int>(l), 0, levels - 2);
    Expr lf = l - cast<float>(li);
    outL[j](x, y) = (1.0f - lf) * lPyramid[j](x, y, li) + lf * lPyramid[j](x, y, li + 1);
  }
  outG[J - 1](x, y) = outL[J - 1](x, y);
  for (int j = J - 2; j >= 0; j--) outG[j](x, y) = upsample(outG[j + 1])(x, y) + outL[j](x, y);
  Func output("output");
  const float eps = 0.01f;
  output(x, y, c) = clamp(outG[0](x, y) * (floating(x, y, c) + eps) / (gray(x, y) + eps), 0.0f, 1.0f);

  output.bound(x, 0, width).bound(y, 0, height).bound(c, 0, 3);
  Var yo("yo");
  remap.compute_root();
  output.reorder(c, x, y).split(y, yo, y, 64).parallel(yo).vectorize(x, 8);
  gray.compute_root().parallel(y, 32).vectorize(x, 8);
  for (int j = 1; j < 5; j++) {
    inG[j].compute_root().parallel(y, 32).vectorize(x, 8);
    gPyramid[j].compute_root().reorder_storage(x, k, y).reorder(k, y).parallel(y, 8).vectorize(x, 8);
    outG[j].store_at(output, yo).compute_at(output, y).fold_storage(y, 8).vectorize(x, 8);
  }
  outG[0].compute_at(output, y).vectorize(x, 8);
  for (int j = 5; j < J; j++) {
    inG[j].compute_root();
    gPyramid[j].compute_root().parallel(k);
    outG[j].compute_root();
  }
  emit(output, folder, "local_laplacian", {input});
}

// Attention of one head; input [3, n, 64] holds Q, K and V. Halide publishes no schedule for it: this one is fused and
// register-blocked in the way of its apps/linear_algebra.
void attention(const std::string &folder) {
  ImageParam input(Float(32), 3, "input");
  input.dim(0).set_bounds(0, 64);
  const int rows = 6, cols = 64, vec = 16;
  Expr n = input.dim(1).extent();
  RDom p(0, 64), k1(0, n), k2(0, n), k3(0, n);
  Func kt("kt"), acc("acc"), scores("scores"), peak("peak"), weights("weights"), total("total"), mixed("mixed");
  Func out("out");
  kt(x, y) = input(y, x, 1) * 0.125f;
  acc(x, y) += input(p, y, 0) * kt(x, p);
  scores(x, y) = acc(x, y);
  peak(y) = -std::numeric_limits<float>::infinity();
  peak(y) = max(peak(y), scores(k1, y));
  weights(x, y) = exp(scores(x, y) - peak(y));
  total(y) += weights(k2, y);
  mixed(x, y) += weights(k3, y) * input(x, k3, 2);
  out(x, y) = mixed(x, y) / total(y);
  out.bound(x, 0, 64);

  Var yo("yo"), yi("yi"), xo("xo"), xi("xi");
  RVar ro("ro"), ri("ri");
  out.split(y, yo, yi, rows, TailStrategy::ShiftInwards).vectorize(x, vec).parallel(yo);
  kt.compute_root().vectorize(x, vec);
  scores.compute_at(out, yo).bound_extent(y, rows).split(x, xo, xi, cols).reorder(xi, y, xo).vectorize(xi, vec);
  acc.compute_at(scores, xo).bound_extent(x, cols).bound_extent(y, rows).vectorize(x, vec).unroll(x).unroll(y);
  acc.update().reorder(x, y, p).vectorize(x, vec).unroll(x).unroll(y);
  for (auto pair : {std::make_pair(peak, k1), std::make_pair(total, k2)}) {
    Func f = pair.first;
    f.compute_at(out, yo);
    Var u("u");
    f.update().split(pair.second, ro, ri, vec, TailStrategy::GuardWithIf);
    Func part = f.update().rfactor(ri, u);
    part.compute_at(f, y).vectorize(u).update().vectorize(u);
    f.update().atomic().vectorize(ri);
  }
  weights.compute_at(out, yo).vectorize(x, vec);
  mixed.compute_at(out, yo).bound_extent(y, rows).vectorize(x, vec).unroll(x).unroll(y);
  mixed.update().reorder(x, y, k3).vectorize(x, vec).unroll(x).unroll(y);
  emit(out, folder, "attention", {input});
}

// Inverted residual block, 32 to 192 to 32 channels of 56 x 56 pixels; the input is flat: picture, weights and biases one
// after the other. Halide publishes no schedule for it: this one is fused over strips and register-blocked, with the
// tile of its apps/conv_layer for 16 lanes.
void inverted_residual(const std::string &folder) {
  const int size = 56, channels = 32, wide = 192, vec = 16;
  ImageParam input(Float(32), 1, "input");
  const int we = size * size * channels, be = we + channels * wide, wd = be + wide, bd = wd + 9 * wide;
  const int wp = bd + wide, bp = wp + wide * channels;
  Var o("o");
  Func padded("padded"), expand("expand"), expanded("expanded"), filter("filter"), depthwise("depthwise");
  Func project("project"), out("out");
  RDom c1(0, channels), k(0, 3, 0, 3), e(0, wide);
  Expr inside = x >= 1 && x <= size && y >= 1 && y <= size;
  Expr cx = clamp(x - 1, 0, size - 1), cy = clamp(y - 1, 0, size - 1);
  padded(o, x, y) = select(inside, input(o + channels * (cx + size * cy)), 0.0f);
  expand(o, x, y) += padded(c1, x, y) * input(we + o + wide * c1);
  expanded(o, x, y) = select(inside, clamp(expand(o, x, y) + input(be + o), 0.0f, 6.0f), 0.0f);
  filter(o, x, y) += expanded(o, x + k.x, y + k.y) * input(wd + o + wide * (k.x + 3 * k.y));
  depthwise(o, x, y) = clamp(filter(o, x, y) + input(bd + o), 0.0f, 6.0f);
  project(o, x, y) += depthwise(e, x, y) * input(wp + o + channels * e);
  out(o, x, y) = project(o, x, y) + input(bp + o) + input(o + channels * (x + size * y));
  out.bound(o, 0, channels).bound(x, 0, size).bound(y, 0, size);

  Var yo("yo"), yi("yi"), xo("xo"), xi("xi"), oo("oo"), oi("oi");
  out.split(y, yo, yi, 14).split(x, xo, xi, 14).reorder(o, xi, xo, yi, yo);
  out.vectorize(o, vec).unroll(o).unroll(xi).parallel(yo);
  project.compute_at(out, xo).vectorize(o, vec).unroll(o).unroll(x);
  project.update().reorder(o, x, y, e).vectorize(o, vec).unroll(o).unroll(x);
  depthwise.compute_at(out, yi).split(x, xo, xi, 7).split(o, oo, oi, vec).reorder(oi, xi, xo, oo, y);
  depthwise.vectorize(oi).unroll(xi);
  filter.compute_at(depthwise, xo).bound_extent(o, vec).bound_extent(x, 7).vectorize(o, vec).unroll(x);
  filter.update().reorder(o, x, k.x, k.y).vectorize(o, vec).unroll(x).unroll(k.x).unroll(k.y);
  expanded.compute_at(out, yo).split(x, xo, xi, 6).split(o, oo, oi, 4 * vec).reorder(oi, xi, xo, oo, y);
  expanded.vectorize(oi, vec).unroll(oi).unroll(xi);
  expand.compute_at(expanded, xo).bound_extent(o, 4 * vec).bound_extent(x, 6).vectorize(o, vec).unroll(o).unroll(x);
  expand.update().reorder(o, x, y, c1).vectorize(o, vec).unroll(o).unroll(x);
  padded.compute_at(out, yo).vectorize(o, vec);
  emit(out, folder, "inverted_residual", {input});
}

}  // namespace

int main(int argc, char **argv) {
  const std::string folder = argc > 1 ? argv[1] : ".";
  blur(folder, "blur_8", 8, 8);
  blur(folder, "blur_32", 32, 16);
  unsharp(folder);
  local_laplacian(folder, 1536, 2560);
  attention(folder);
  inverted_residual(folder);
  compile_standalone_runtime(folder + "/runtime.o", host());
  printf("%s\n", host().to_string().c_str());
  return 0;
}
