/* Handles that are dead or were never alive, tensors that cannot be, and answers that no plan declared. */

/* Handles of other steps and other instances. */
static sextant_handle earlier, foreign;

static void remember(const source *self, const sextant_step *step, const sextant_guided *guided) {
  if (step->index == 0) earlier = guided->loss;
  if (is(self, "none")) foreign = step->x.handle;
}

static sextant_shape shape(uint32_t rank, uint64_t extent) {
  sextant_shape all = {rank, 0, {0}};
  for (uint32_t i = 0; i < rank && i < SEXTANT_MAX_RANK; i++) all.dims[i] = extent;
  return all;
}

static sextant_handle full(const source *self, const sextant_step *step, double value, uint32_t dtype, sextant_shape of) {
  const sextant_full attributes = {sizeof attributes, value, dtype, 0, of};
  return NONE(SEXTANT_OP_FULL, &attributes);
}

static void handles(const source *self, const sextant_step *step) {
  sextant_handle x = step->x.handle;
  if (is(self, "stale")) ONE(SEXTANT_OP_NEG, NULL, earlier);
  else if (is(self, "forged")) ONE(SEXTANT_OP_NEG, NULL, (sextant_handle)0xdeadbeefcafe);
  else if (is(self, "forged-near")) ONE(SEXTANT_OP_NEG, NULL, x + 1000);
  else if (is(self, "forged-generation")) ONE(SEXTANT_OP_NEG, NULL, x ^ ((sextant_handle)1 << 32));
  else if (is(self, "foreign")) ONE(SEXTANT_OP_NEG, NULL, foreign);
  else if (is(self, "released-twice")) self->host->release(step->session, x), self->host->release(step->session, x);
  else if (is(self, "released-then-used")) self->host->release(step->session, x), ONE(SEXTANT_OP_NEG, NULL, x);
  else if (is(self, "released-stale")) self->host->release(step->session, earlier);
  else if (is(self, "released-elsewhere")) self->host->release(step->session + 1, x);
  else if (is(self, "consumed-twice")) {
    sextant_operand given = {x, 1, {0}};
    sextant_tensor_ref result;
    sextant_call call = {sizeof call, step->session, SEXTANT_OP_NEG, 1, 1, 7, TEXT("hostile.c"), &given, NULL, &result};
    self->host->op(&call), self->host->op(&call);
  } else if (is(self, "consumed-and-kept") || is(self, "kept-and-consumed")) {
    const uint8_t first = is(self, "consumed-and-kept");
    sextant_operand both[2] = {{x, first, {0}}, {x, !first, {0}}};
    sextant_tensor_ref result;
    sextant_call call = {sizeof call, step->session, SEXTANT_OP_ADD, 2, 1, 7, TEXT("hostile.c"), both, NULL, &result};
    /* The sum is sound; what it was made of is gone. */
    if (self->host->op(&call) == SEXTANT_OK) ONE(SEXTANT_OP_NEG, NULL, result.handle), ONE(SEXTANT_OP_EXP, NULL, x);
  } else if (is(self, "handles-million")) {
    for (int i = 0; i < 10000000; i++) full(self, step, 0.0, SEXTANT_DTYPE_F32, shape(1, 1));
  }
}

static void shapes(const source *self, const sextant_step *step) {
  static float few[4];
  const uint64_t huge = (uint64_t)1 << 60;
  sextant_handle x = step->x.handle;
  if (is(self, "full-huge")) full(self, step, 0.0, SEXTANT_DTYPE_F32, shape(1, huge));
  else if (is(self, "full-overflow")) full(self, step, 0.0, SEXTANT_DTYPE_F32, shape(8, (uint64_t)1 << 32));
  else if (is(self, "full-rank-9")) full(self, step, 0.0, SEXTANT_DTYPE_F32, shape(9, 1));
  else if (is(self, "full-nan")) full(self, step, NAN, SEXTANT_DTYPE_F32, shape(1, 1));
  else if (is(self, "full-dtype-0")) full(self, step, 0.0, 0, shape(1, 1));
  else if (is(self, "product-huge")) {
    sextant_shape column = {2, 0, {1 << 20, 1}}, row = {2, 0, {1, 1 << 20}};
    TWO(SEXTANT_OP_MATMUL, NULL, full(self, step, 1.0, SEXTANT_DTYPE_F32, column),
        full(self, step, 1.0, SEXTANT_DTYPE_F32, row));
  } else if (is(self, "scatter-huge")) {
    const sextant_scatter_to to = {sizeof to, 0, 0, UINT64_MAX};
    TWO(SEXTANT_OP_SCATTER, &to, x, step->labels.handle);
  } else if (is(self, "random-huge")) {
    const sextant_random random = {sizeof random, 0, 0, TEXT("r"), shape(1, (uint64_t)1 << 30)};
    NONE(SEXTANT_OP_RANDOM, &random);
  } else if (is(self, "tag-latin")) {
    const sextant_random random = {sizeof random, 0, 0, LATIN, shape(1, 1)};
    NONE(SEXTANT_OP_RANDOM, &random);
  } else if (is(self, "upload-endless")) {
    const sextant_upload upload = {sizeof upload, SEXTANT_DTYPE_F32, 0, shape(1, 4), {few, huge, 4}};
    NONE(SEXTANT_OP_UPLOAD, &upload);
  } else if (is(self, "upload-beyond")) {
    /* A lie that no host can see: half of the elements are not there. For a control of tools that can. */
    const sextant_upload upload = {sizeof upload, SEXTANT_DTYPE_F32, 0, shape(1, 4), {malloc(8), 4, 4}};
    NONE(SEXTANT_OP_UPLOAD, &upload);
  } else if (is(self, "upload-null")) {
    const sextant_upload upload = {sizeof upload, SEXTANT_DTYPE_F32, 0, shape(1, 4), {NULL, 4, 4}};
    NONE(SEXTANT_OP_UPLOAD, &upload);
  } else if (is(self, "upload-stride-0")) {
    const sextant_upload upload = {sizeof upload, SEXTANT_DTYPE_F32, 0, shape(1, 4), {few, 4, 0}};
    NONE(SEXTANT_OP_UPLOAD, &upload);
  } else if (is(self, "download-short") || is(self, "download-null")) {
    const int null = is(self, "download-null");
    const sextant_download to = {sizeof to, null ? NULL : (uint8_t *)few, null ? 4 * step->batch : sizeof few};
    ONE(SEXTANT_OP_DOWNLOAD, &to, null ? step->t.handle : x);
  } else if (is(self, "gather-beyond")) {
    const sextant_dim rows = {sizeof rows, 0, 0};
    /* Numbers that only the device knows. */
    const sextant_scalar far = {sizeof far, 1e6};
    TWO(SEXTANT_OP_GATHER, &rows, x, ONE(SEXTANT_OP_ADD_SCALAR, &far, step->labels.handle));
  } else if (is(self, "slice-beyond")) {
    const sextant_slice part = {sizeof part, 0, 0, 0, UINT64_MAX, 1};
    ONE(SEXTANT_OP_SLICE, &part, x);
  } else if (is(self, "convolution-stride-0")) {
    const sextant_conv2d of = {sizeof of, {0, 0}, {0, 0}, {1, 1}, 1};
    TWO(SEXTANT_OP_CONV2D, &of, x, x);
  } else if (is(self, "dims-billions")) {
    const sextant_dims all = {sizeof all, UINT32_MAX, 0, {0}, {0}};
    ONE(SEXTANT_OP_SUM, &all, x);
  } else if (is(self, "forward-student")) {
    const sextant_forward pass = {sizeof pass, SEXTANT_NETWORK_STUDENT, 0, {NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0},
                                  {NULL, 0, 0}};
    TWO(SEXTANT_OP_FORWARD, &pass, x, step->t.handle);
  } else if (is(self, "forward-undeclared")) {
    const sextant_forward pass = {sizeof pass, SEXTANT_NETWORK_EMA, 0, {NULL, 0, 0}, {NULL, 0, 0}, {NULL, 0, 0},
                                  {NULL, 0, 0}};
    TWO(SEXTANT_OP_FORWARD, &pass, x, step->t.handle);
  }
}

static void tensors(const source *self, const sextant_step *step) {
  handles(self, step);
  shapes(self, step);
}

/* What guide gives: losses, metrics and buffers. */
static void answer(const source *self, const sextant_step *step, sextant_guided *guided) {
  static sextant_named named[2];
  const sextant_cast to_int = {sizeof to_int, SEXTANT_DTYPE_INT, 0}, to_f16 = {sizeof to_f16, SEXTANT_DTYPE_BF16, 0};
  const sextant_scalar below = {sizeof below, -1e9}, above = {sizeof above, 1e30};
  sextant_handle loss = guided->loss;
  named[0] = (sextant_named){0, 0, full(self, step, 1.0, SEXTANT_DTYPE_F32, shape(0, 0))};
  named[1] = (sextant_named){1, 0, named[0].handle};

  if (is(self, "loss-none")) guided->loss = 0;
  else if (is(self, "loss-shape")) guided->loss = full(self, step, 0.0, SEXTANT_DTYPE_F32, shape(1, 3));
  else if (is(self, "loss-rank")) guided->loss = step->x.handle;
  else if (is(self, "loss-scalar")) guided->loss = named[0].handle;
  else if (is(self, "loss-int")) guided->loss = ONE(SEXTANT_OP_CAST, &to_int, loss);
  else if (is(self, "loss-bf16")) guided->loss = ONE(SEXTANT_OP_CAST, &to_f16, loss);
  else if (is(self, "loss-stale")) guided->loss = earlier;
  else if (is(self, "loss-released")) self->host->release(step->session, loss);
  else if (is(self, "loss-nan")) guided->loss = ONE(SEXTANT_OP_LOG, NULL, ONE(SEXTANT_OP_ADD_SCALAR, &below, loss));
  else if (is(self, "loss-infinite"))
    guided->loss = ONE(SEXTANT_OP_EXP, NULL, ONE(SEXTANT_OP_ADD_SCALAR, &above, loss));
  else if (is(self, "weight-shape")) guided->denoising_weight = named[0].handle;
  else if (is(self, "metric-index")) named[0].index = 2, guided->metrics = LIST(named);
  else if (is(self, "metric-twice")) named[1].index = 0, guided->metrics = LIST(named);
  else if (is(self, "metric-tensor")) named[0].handle = step->x.handle, guided->metrics = LIST(named);
  else if (is(self, "metric-forged")) named[0].handle = 12345, guided->metrics = LIST(named);
  else if (is(self, "metrics-gigabyte")) {
    /* Honest memory, of which the host must not make a copy. */
    uint64_t count = ((uint64_t)1 << 30) / sizeof named[0];
    guided->metrics = (sextant_array){calloc(count, sizeof named[0]), count, sizeof named[0]};
  } else if (is(self, "metrics-endless")) guided->metrics = (sextant_array){named, UINT64_MAX, sizeof named[0]};
  else if (is(self, "metrics-null")) guided->metrics = (sextant_array){NULL, 2, sizeof named[0]};
  else if (is(self, "metrics-stride")) guided->metrics = (sextant_array){named, 2, 8};
  else if (is(self, "buffer-index")) named[0].index = 9, guided->buffers = (sextant_array){named, 1, sizeof named[0]};
  else if (is(self, "buffer-shape")) guided->buffers = (sextant_array){named, 1, sizeof named[0]};
  else if (is(self, "buffer-type")) {
    named[0].handle = full(self, step, 1.0, SEXTANT_DTYPE_INT, shape(2, 4));
    guided->buffers = (sextant_array){named, 1, sizeof named[0]};
  }
}
