/*
 * A convolution of oneDNN 2.x in the layouts it likes best, for bench/convolutions.mjs. Everything is float32, batch 1.
 * Functions give NULL or a dnnl_status_t other than 0 where oneDNN refuses.
 */
#include <oneapi/dnnl/dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Also the order of the numbers that `convolution_create` takes. */
struct shape {
  int channels, outputs, groups;
  int height, width;
  int kernel_h, kernel_w;
  int stride_h, stride_w;
  int dilation_h, dilation_w;
  int pad_top, pad_left, pad_bottom, pad_right;
};

/* A tensor in the plain layout of ONNX and in that of the primitive, and the reorder between them. */
struct tensor {
  dnnl_memory_t plain, packed;
  dnnl_primitive_t reorder;
};

struct convolution {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t descriptor;
  dnnl_primitive_t primitive;
  struct tensor source, weights, destination;
  dnnl_memory_t bias, scratchpad;
};

#define TRY(call)                  \
  do {                             \
    dnnl_status_t status = (call); \
    if (status) return status;     \
  } while (0)

static dnnl_status_t create_reorder(struct tensor *t, dnnl_memory_t from, dnnl_memory_t to, dnnl_engine_t engine) {
  const dnnl_memory_desc_t *from_desc, *to_desc;
  dnnl_primitive_desc_t descriptor;
  TRY(dnnl_memory_get_memory_desc(from, &from_desc));
  TRY(dnnl_memory_get_memory_desc(to, &to_desc));
  TRY(dnnl_reorder_primitive_desc_create(&descriptor, from_desc, engine, to_desc, engine, NULL));
  TRY(dnnl_primitive_create(&t->reorder, descriptor));
  return dnnl_primitive_desc_destroy(descriptor);
}

static dnnl_status_t create_tensor(struct tensor *t, struct convolution *c, dnnl_query_t what, int index,
                                   const dnnl_memory_desc_t *plain) {
  const dnnl_memory_desc_t *packed = dnnl_primitive_desc_query_md(c->descriptor, what, index);
  TRY(dnnl_memory_create(&t->plain, plain, c->engine, DNNL_MEMORY_NONE));
  TRY(dnnl_memory_create(&t->packed, packed, c->engine, DNNL_MEMORY_ALLOCATE));
  if (what == dnnl_query_dst_md) return create_reorder(t, t->packed, t->plain, c->engine);
  return create_reorder(t, t->plain, t->packed, c->engine);
}

static dnnl_status_t describe(struct convolution *c, const struct shape *s, int algorithm, int activation,
                              dnnl_memory_desc_t plain[4]) {
  int out_h = (s->height + s->pad_top + s->pad_bottom - s->dilation_h * (s->kernel_h - 1) - 1) / s->stride_h + 1;
  int out_w = (s->width + s->pad_left + s->pad_right - s->dilation_w * (s->kernel_w - 1) - 1) / s->stride_w + 1;
  int g = s->groups, grouped = g > 1;
  dnnl_dims_t source = {1, s->channels, s->height, s->width}, bias = {s->outputs};
  dnnl_dims_t destination = {1, s->outputs, out_h, out_w};
  dnnl_dims_t weights = {s->outputs, s->channels, s->kernel_h, s->kernel_w};
  dnnl_dims_t grouped_weights = {g, s->outputs / g, s->channels / g, s->kernel_h, s->kernel_w};
  dnnl_dims_t strides = {s->stride_h, s->stride_w}, dilations = {s->dilation_h - 1, s->dilation_w - 1};
  dnnl_dims_t before = {s->pad_top, s->pad_left}, after = {s->pad_bottom, s->pad_right};
  const dnnl_dim_t *dims[4] = {source, grouped ? grouped_weights : weights, bias, destination};
  dnnl_format_tag_t tags[4] = {dnnl_nchw, grouped ? dnnl_goihw : dnnl_oihw, dnnl_x, dnnl_nchw};
  int ranks[4] = {4, grouped ? 5 : 4, 1, 4};
  dnnl_memory_desc_t any[4];
  for (int i = 0; i < 4; i++) {
    TRY(dnnl_memory_desc_init_by_tag(&plain[i], ranks[i], dims[i], dnnl_f32, tags[i]));
    TRY(dnnl_memory_desc_init_by_tag(&any[i], ranks[i], dims[i], dnnl_f32, dnnl_format_tag_any));
  }
  dnnl_convolution_desc_t operation;
  TRY(dnnl_dilated_convolution_forward_desc_init(&operation, dnnl_forward_inference, algorithm, &any[0], &any[1],
                                                 &plain[2], &any[3], strides, dilations, before, after));
  dnnl_primitive_attr_t attributes;
  dnnl_post_ops_t post_ops;
  TRY(dnnl_primitive_attr_create(&attributes));
  TRY(dnnl_post_ops_create(&post_ops));
  if (activation) TRY(dnnl_post_ops_append_eltwise(post_ops, 1, activation, 0, 0));
  TRY(dnnl_primitive_attr_set_post_ops(attributes, post_ops));
  TRY(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user));
  dnnl_status_t status = dnnl_primitive_desc_create(&c->descriptor, &operation, attributes, c->engine, NULL);
  dnnl_post_ops_destroy(post_ops);
  dnnl_primitive_attr_destroy(attributes);
  return status;
}

static dnnl_status_t create(struct convolution *c, const struct shape *shape, int algorithm, int activation) {
  dnnl_memory_desc_t plain[4];
  TRY(dnnl_engine_create(&c->engine, dnnl_cpu, 0));
  TRY(dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags));
  TRY(describe(c, shape, algorithm, activation, plain));
  TRY(dnnl_primitive_create(&c->primitive, c->descriptor));
  TRY(create_tensor(&c->source, c, dnnl_query_src_md, 0, &plain[0]));
  TRY(create_tensor(&c->weights, c, dnnl_query_weights_md, 0, &plain[1]));
  TRY(create_tensor(&c->destination, c, dnnl_query_dst_md, 0, &plain[3]));
  TRY(dnnl_memory_create(&c->bias, &plain[2], c->engine, DNNL_MEMORY_NONE));
  const dnnl_memory_desc_t *scratchpad = dnnl_primitive_desc_query_md(c->descriptor, dnnl_query_scratchpad_md, 0);
  return dnnl_memory_create(&c->scratchpad, scratchpad, c->engine, DNNL_MEMORY_ALLOCATE);
}

static void destroy_tensor(struct tensor *t) {
  if (t->reorder) dnnl_primitive_destroy(t->reorder);
  if (t->packed) dnnl_memory_destroy(t->packed);
  if (t->plain) dnnl_memory_destroy(t->plain);
}

void convolution_destroy(struct convolution *c) {
  destroy_tensor(&c->source);
  destroy_tensor(&c->weights);
  destroy_tensor(&c->destination);
  if (c->bias) dnnl_memory_destroy(c->bias);
  if (c->scratchpad) dnnl_memory_destroy(c->scratchpad);
  if (c->primitive) dnnl_primitive_destroy(c->primitive);
  if (c->descriptor) dnnl_primitive_desc_destroy(c->descriptor);
  if (c->stream) dnnl_stream_destroy(c->stream);
  if (c->engine) dnnl_engine_destroy(c->engine);
  free(c);
}

/* `algorithm` and `activation` are dnnl_alg_kind_t, activation 0 for none; `threads` holds until the next call. */
struct convolution *convolution_create(const int *shape, int algorithm, int activation, int threads) {
  struct convolution *c = calloc(1, sizeof *c);
  omp_set_num_threads(threads);
  if (create(c, (const struct shape *)shape, algorithm, activation) == dnnl_success) return c;
  convolution_destroy(c);
  return NULL;
}

/* Version of the library in use, as 2.6.3. */
const char *convolution_version(void) {
  static char text[32];
  const dnnl_version_t *v = dnnl_version();
  snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
  return text;
}

/* What oneDNN calls the implementation that it chose. */
const char *convolution_implementation(struct convolution *c) {
  const char *text = "";
  dnnl_primitive_desc_query(c->descriptor, dnnl_query_impl_info_str, 0, &text);
  return text;
}

static dnnl_status_t reorder(struct convolution *c, struct tensor *t, int from_packed) {
  dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, from_packed ? t->packed : t->plain},
                             {DNNL_ARG_TO, from_packed ? t->plain : t->packed}};
  return dnnl_primitive_execute(t->reorder, c->stream, 2, args);
}

/* Packs the weights; the arrays are plain, and source, bias and destination must outlive the convolution's runs. */
int convolution_bind(struct convolution *c, float *source, float *weights, float *bias, float *destination) {
  TRY(dnnl_memory_set_data_handle(c->source.plain, source));
  TRY(dnnl_memory_set_data_handle(c->weights.plain, weights));
  TRY(dnnl_memory_set_data_handle(c->bias, bias));
  TRY(dnnl_memory_set_data_handle(c->destination.plain, destination));
  TRY(reorder(c, &c->weights, 0));
  return dnnl_stream_wait(c->stream);
}

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

/* `repeats` times: packs the source, convolves, unpacks the destination; `ns` gets the time of each convolution alone. */
int convolution_run(struct convolution *c, int repeats, double *ns) {
  dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, c->source.packed},
                             {DNNL_ARG_WEIGHTS, c->weights.packed},
                             {DNNL_ARG_BIAS, c->bias},
                             {DNNL_ARG_DST, c->destination.packed},
                             {DNNL_ARG_SCRATCHPAD, c->scratchpad}};
  for (int i = 0; i < repeats; i++) {
    TRY(reorder(c, &c->source, 0));
    TRY(dnnl_stream_wait(c->stream));
    double start = now_ns();
    TRY(dnnl_primitive_execute(c->primitive, c->stream, 5, args));
    TRY(dnnl_stream_wait(c->stream));
    ns[i] = now_ns() - start;
    TRY(reorder(c, &c->destination, 1));
    TRY(dnnl_stream_wait(c->stream));
  }
  return dnnl_success;
}
