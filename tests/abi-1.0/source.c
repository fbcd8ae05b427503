/* A guidance source that was written and built against version 1.0 of the contract, with the header of that time beside it.
 * Neither file changes any more: whatever the contract becomes within major version 1, this library loads and trains.
 *
 * It uses what 1.0 had: a tap, the output, the EMA network through forward, a parameter, a buffer, a metric, a random
 * draw, an upload and a download. Its loss is (w * mean square of tokens) + small terms of all the rest. */

#include "sextant_guidance.h"

#include <stdlib.h>
#include <string.h>

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

typedef struct {
  const sextant_host *host;
  sextant_tap taps[3];
  sextant_parameter_info parameter;
  sextant_buffer_info buffer;
  sextant_text metric;
  sextant_named named[2];
} source;

static sextant_status say(sextant_message *message, const char *words) {
  message->text.ptr = (const uint8_t *)words;
  message->text.len = strlen(words);
  return SEXTANT_FAILED;
}

static sextant_status create(const sextant_host *host, sextant_text config, void **instance, sextant_message *error) {
  source *self;
  if (host->abi_major != 1 || host->size < sizeof *host) return say(error, "not a host of version 1");
  if (config.len < 2 || config.ptr[0] != '{') return say(error, "the configuration is not an object");
  self = calloc(1, sizeof *self);
  self->host = host;
  *instance = self;
  return SEXTANT_OK;
}

static sextant_status plan(void *instance, const sextant_geometry *geometry, sextant_plan *plan, sextant_message *error) {
  source *self = instance;
  const sextant_tap tokens = {SEXTANT_NETWORK_STUDENT, SEXTANT_TAP_KIND_BLOCK, 1, 0};
  const sextant_tap output = {SEXTANT_NETWORK_STUDENT, SEXTANT_TAP_KIND_OUTPUT, 0, 0};
  const sextant_tap average = {SEXTANT_NETWORK_EMA, SEXTANT_TAP_KIND_BLOCK, 1, 0};
  const sextant_parameter_info w = {TEXT("scale.w"), {1, 0, {1}}, SEXTANT_INIT_KIND_CONSTANT, 1, {0}, 1.0, {NULL, 0, 0}};
  const sextant_buffer_info last = {TEXT("last"), SEXTANT_DTYPE_F32, SEXTANT_AGREEMENT_MEAN, {1, 0, {1}}, 0, {0},
                                    SEXTANT_INIT_KIND_CONSTANT, 0.0, {NULL, 0, 0}};
  const sextant_text size = TEXT("size");
  if (geometry->size < sizeof *geometry || geometry->networks.len == 0) return say(error, "no geometry");
  if (plan->size < sizeof *plan) return say(error, "no room for a plan");
  self->taps[0] = tokens, self->taps[1] = output, self->taps[2] = average;
  self->parameter = w, self->buffer = last, self->metric = size;
  plan->required_minor = 0;
  plan->taps.ptr = self->taps, plan->taps.len = 3, plan->taps.stride = sizeof self->taps[0];
  plan->parameters.ptr = &self->parameter, plan->parameters.len = 1, plan->parameters.stride = sizeof self->parameter;
  plan->buffers.ptr = &self->buffer, plan->buffers.len = 1, plan->buffers.stride = sizeof self->buffer;
  plan->metrics.ptr = &self->metric, plan->metrics.len = 1, plan->metrics.stride = sizeof self->metric;
  return SEXTANT_OK;
}

static sextant_handle op(source *self, const sextant_step *step, uint32_t opcode, const void *attributes, sextant_handle a,
                         sextant_handle b) {
  const sextant_operand inputs[2] = {{a, 0, {0}}, {b, 0, {0}}};
  sextant_tensor_ref result;
  sextant_call call = {sizeof call, 0, 0, 0, 1, __LINE__, TEXT("tests/abi-1.0/source.c"), NULL, NULL, NULL};
  call.session = step->session;
  call.opcode = opcode;
  call.inputs_len = (a != 0) + (b != 0);
  call.inputs = inputs;
  call.attributes = attributes;
  call.outputs = &result;
  return self->host->op(&call) == SEXTANT_OK ? result.handle : 0;
}

static const sextant_tensor_ref *at(const sextant_array *list, uint64_t index) {
  return (const sextant_tensor_ref *)((const char *)list->ptr + index * list->stride);
}

/* Mean over everything but the first dimension of a [B, x, y] or [B, x, y, z], in f32. */
static sextant_handle mean(source *self, const sextant_step *step, uint32_t rank, sextant_handle a) {
  const sextant_cast f32 = {sizeof f32, SEXTANT_DTYPE_F32, 0};
  sextant_dims rest = {sizeof rest, 0, 0, {0}, {1, 2, 3}};
  rest.len = rank - 1;
  return op(self, step, SEXTANT_OP_MEAN, &rest, op(self, step, SEXTANT_OP_CAST, &f32, a, 0), 0);
}

static sextant_status guide(void *instance, const sextant_step *step, sextant_guided *guided, sextant_message *error) {
  source *self = instance;
  const sextant_scalar tiny = {sizeof tiny, 1e-3};
  const sextant_dims all = {sizeof all, 1, 1, {0}, {0}};
  const sextant_random draw = {sizeof draw, SEXTANT_DISTRIBUTION_NORMAL, 0, TEXT("draw"), {2, 0, {2, 2}}};
  const sextant_cast f32 = {sizeof f32, SEXTANT_DTYPE_F32, 0};
  sextant_handle tokens = at(&step->taps, 0)->handle, output = at(&step->taps, 1)->handle;
  sextant_handle squares, loss, sum;
  uint32_t depth = 1, *rows = malloc(4 * step->batch), *conditions = calloc(step->batch, 4);
  float *ones = malloc(4 * step->batch), *values = malloc(4 * step->batch);
  uint64_t i;
  if (step->size < sizeof *step || step->taps.len != 2 || step->parameters.len != 1 || step->buffers.len != 1)
    return say(error, "the step is not what the plan asked for");
  for (i = 0; i < step->batch; i++) rows[i] = (uint32_t)i, ones[i] = 1.0f;

  /* w * mean square of the tokens, and of the output. */
  squares = mean(self, step, 3, op(self, step, SEXTANT_OP_MUL, NULL, tokens, tokens));
  loss = op(self, step, SEXTANT_OP_MUL, NULL, squares,
            op(self, step, SEXTANT_OP_CAST, &f32, at(&step->parameters, 0)->handle, 0));
  squares = mean(self, step, 4, op(self, step, SEXTANT_OP_MUL, NULL, output, output));
  loss = op(self, step, SEXTANT_OP_ADD, NULL, loss, op(self, step, SEXTANT_OP_MUL_SCALAR, &tiny, squares, 0));

  /* The average network's tokens. */
  {
    sextant_forward pass = {sizeof pass, SEXTANT_NETWORK_EMA, 0, {NULL, 1, 4}, {NULL, 0, 4}, {NULL, 0, 4}};
    pass.depths.ptr = &depth;
    pass.rows.ptr = rows, pass.rows.len = step->batch;
    pass.conditions.ptr = conditions, pass.conditions.len = step->batch;
    squares = mean(self, step, 3, op(self, step, SEXTANT_OP_FORWARD, &pass, step->x_t.handle, step->t.handle));
    loss = op(self, step, SEXTANT_OP_ADD, NULL, loss, op(self, step, SEXTANT_OP_MUL_SCALAR, &tiny, squares, 0));
  }

  /* Draws, and numbers of our own. */
  squares = mean(self, step, 3, op(self, step, SEXTANT_OP_RANDOM, &draw, 0, 0));
  loss = op(self, step, SEXTANT_OP_ADD, NULL, loss, op(self, step, SEXTANT_OP_MUL_SCALAR, &tiny, squares, 0));
  {
    sextant_upload upload = {sizeof upload, SEXTANT_DTYPE_F32, 0, {1, 0, {0}}, {NULL, 0, 4}};
    upload.shape.dims[0] = step->batch;
    upload.data.ptr = ones, upload.data.len = step->batch;
    loss = op(self, step, SEXTANT_OP_MUL, NULL, loss, op(self, step, SEXTANT_OP_UPLOAD, &upload, 0, 0));
  }
  {
    sextant_download download = {sizeof download, NULL, 0};
    sextant_operand input = {0, 0, {0}};
    sextant_call call = {sizeof call, 0, SEXTANT_OP_DOWNLOAD, 1, 0, __LINE__, TEXT("source.c"), NULL, NULL, NULL};
    download.data = (uint8_t *)values, download.bytes = 4 * step->batch;
    input.handle = loss;
    call.session = step->session, call.inputs = &input, call.attributes = &download;
    if (self->host->op(&call) == SEXTANT_OK && !(values[0] > 0.0f)) return say(error, "the loss is not above 0");
  }

  sum = op(self, step, SEXTANT_OP_SUM, &all, loss, 0);
  self->named[0].index = 0, self->named[0].handle = sum;
  self->named[1].index = 0, self->named[1].handle = op(self, step, SEXTANT_OP_DETACH, NULL, sum, 0);
  guided->loss = loss;
  guided->metrics.ptr = &self->named[0], guided->metrics.len = 1, guided->metrics.stride = sizeof self->named[0];
  guided->buffers.ptr = &self->named[1], guided->buffers.len = 1, guided->buffers.stride = sizeof self->named[1];
  self->host->log(4, (sextant_text)TEXT("one step of a source of version 1.0"));
  free(rows), free(conditions), free(ones), free(values);
  return SEXTANT_OK;
}

static void destroy(void *instance) { free(instance); }

SEXTANT_EXPORT const sextant_descriptor *sextant_guidance_entry(void) {
  static const sextant_descriptor descriptor = {
      sizeof descriptor, SEXTANT_ABI_MAJOR, SEXTANT_ABI_MINOR, TEXT("of-1-0"), TEXT("1.0.0"),
      TEXT("A source of version 1.0"), create, plan, guide, destroy};
  return &descriptor;
}
