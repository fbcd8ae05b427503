/* A guidance source that was written and built against version 1.1 of the contract, with the header of that time beside it.
 * Neither file changes any more: whatever the contract becomes within major version 1, this library loads and trains.
 *
 * It uses what 1.1 added (attention, a schema of the configuration), and structs that have grown since: the descriptor, the
 * plan, the geometry, and the attributes of forward. Its loss is factor * (mean square of tokens) + mean square of attention
 * + a little of the average network's tokens. */

#include "sextant_guidance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

typedef struct {
  const sextant_host *host;
  double factor;
  sextant_tap taps[3];
  sextant_text metric;
  sextant_named named;
} source;

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{\"factor\":{\"type\":\"number\",\"default\":2.0}}}";

static sextant_status say(sextant_message *message, const char *words) {
  message->text.ptr = (const uint8_t *)words;
  message->text.len = strlen(words);
  return SEXTANT_FAILED;
}

/* {} or {"factor":1.5}, without spaces. */
static sextant_status create(const sextant_host *host, sextant_text config, void **instance, sextant_message *error) {
  source *self;
  char json[64] = {0};
  double factor = 2.0;
  if (host->abi_major != 1 || host->abi_minor < 1 || host->size < sizeof *host) return say(error, "not a host of 1.1");
  if (config.len >= sizeof json) return say(error, "the configuration is too long");
  memcpy(json, config.ptr, config.len);
  if (strcmp(json, "{}") != 0 && sscanf(json, "{\"factor\":%lf}", &factor) != 1) return say(error, "only `factor` is a key");
  self = calloc(1, sizeof *self);
  self->host = host, self->factor = factor;
  *instance = self;
  return SEXTANT_OK;
}

static sextant_status plan(void *instance, const sextant_geometry *geometry, sextant_plan *plan, sextant_message *error) {
  source *self = instance;
  const sextant_tap tokens = {SEXTANT_NETWORK_STUDENT, SEXTANT_TAP_KIND_BLOCK, 1, 0};
  const sextant_tap attention = {SEXTANT_NETWORK_STUDENT, SEXTANT_TAP_KIND_ATTENTION, 1, 0};
  const sextant_tap average = {SEXTANT_NETWORK_EMA, SEXTANT_TAP_KIND_BLOCK, 1, 0};
  const sextant_text size = TEXT("size");
  if (geometry->size < sizeof *geometry || geometry->networks.len == 0) return say(error, "no geometry");
  if (plan->size < sizeof *plan) return say(error, "no room for a plan");
  self->taps[0] = tokens, self->taps[1] = attention, self->taps[2] = average;
  self->metric = size;
  plan->required_minor = 1;
  plan->taps.ptr = self->taps, plan->taps.len = 3, plan->taps.stride = sizeof self->taps[0];
  plan->metrics.ptr = &self->metric, plan->metrics.len = 1, plan->metrics.stride = sizeof self->metric;
  return SEXTANT_OK;
}

static sextant_handle op(source *self, const sextant_step *step, uint32_t opcode, const void *attributes, sextant_handle a,
                         sextant_handle b) {
  const sextant_operand inputs[2] = {{a, 0, {0}}, {b, 0, {0}}};
  sextant_tensor_ref result;
  sextant_call call = {sizeof call, 0, 0, 0, 1, __LINE__, TEXT("tests/abi-1.1/source.c"), NULL, NULL, NULL};
  call.session = step->session;
  call.opcode = opcode;
  call.inputs_len = (a != 0) + (b != 0);
  call.inputs = inputs;
  call.attributes = attributes;
  call.outputs = &result;
  return self->host->op(&call) == SEXTANT_OK ? result.handle : 0;
}

static sextant_handle tap(const sextant_step *step, uint64_t index) {
  const char *element = (const char *)step->taps.ptr + index * step->taps.stride;
  return ((const sextant_tensor_ref *)element)->handle;
}

/* Mean square over everything but the batch, in f32. */
static sextant_handle mean_square(source *self, const sextant_step *step, uint32_t rank, sextant_handle a) {
  const sextant_cast f32 = {sizeof f32, SEXTANT_DTYPE_F32, 0};
  sextant_dims rest = {sizeof rest, 0, 0, {0}, {1, 2, 3}};
  rest.len = rank - 1;
  a = op(self, step, SEXTANT_OP_CAST, &f32, a, 0);
  return op(self, step, SEXTANT_OP_MEAN, &rest, op(self, step, SEXTANT_OP_MUL, NULL, a, a), 0);
}

static sextant_status guide(void *instance, const sextant_step *step, sextant_guided *guided, sextant_message *error) {
  source *self = instance;
  const sextant_scalar factor = {sizeof factor, self->factor}, tiny = {sizeof tiny, 1e-3};
  const sextant_dims all = {sizeof all, 1, 1, {0}, {0}};
  sextant_forward pass = {sizeof pass, SEXTANT_NETWORK_EMA, 0, {NULL, 1, 4}, {NULL, 0, 4}, {NULL, 0, 4}};
  uint32_t depth = 1, *rows = malloc(4 * step->batch), *conditions = calloc(step->batch, 4);
  sextant_handle loss, average;
  uint64_t i;
  if (step->size < sizeof *step || step->taps.len != 2) return say(error, "the step is not what the plan asked for");
  for (i = 0; i < step->batch; i++) rows[i] = (uint32_t)i;
  pass.depths.ptr = &depth;
  pass.rows.ptr = rows, pass.rows.len = step->batch;
  pass.conditions.ptr = conditions, pass.conditions.len = step->batch;

  loss = op(self, step, SEXTANT_OP_MUL_SCALAR, &factor, mean_square(self, step, 3, tap(step, 0)), 0);
  loss = op(self, step, SEXTANT_OP_ADD, NULL, loss, mean_square(self, step, 4, tap(step, 1)));
  average = mean_square(self, step, 3, op(self, step, SEXTANT_OP_FORWARD, &pass, step->x_t.handle, step->t.handle));
  loss = op(self, step, SEXTANT_OP_ADD, NULL, loss, op(self, step, SEXTANT_OP_MUL_SCALAR, &tiny, average, 0));

  self->named.index = 0, self->named.handle = op(self, step, SEXTANT_OP_SUM, &all, loss, 0);
  guided->loss = loss;
  guided->metrics.ptr = &self->named, guided->metrics.len = 1, guided->metrics.stride = sizeof self->named;
  free(rows), free(conditions);
  return SEXTANT_OK;
}

static void destroy(void *instance) { free(instance); }

static sextant_text config_schema(void) {
  const sextant_text text = TEXT(schema);
  return text;
}

SEXTANT_EXPORT const sextant_descriptor *sextant_guidance_entry(void) {
  static const sextant_descriptor descriptor = {
      sizeof descriptor, SEXTANT_ABI_MAJOR, SEXTANT_ABI_MINOR, TEXT("of-1-1"), TEXT("1.0.0"),
      TEXT("A source of version 1.1"), create, plan, guide, destroy, config_schema};
  return &descriptor;
}
