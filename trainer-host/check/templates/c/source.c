/* my-source: holds the student's tokens at one length.
 *
 * The activations of a transformer grow while it trains. EDM2 (arXiv 2312.02696) keeps them at magnitude 1 by its design;
 * this source asks for it with a loss. With r the root mean square of a token after block `depth`, per sample
 *
 *     loss = mean over tokens of (r - size)^2
 *
 * include/sextant_guidance.h is the contract, with every rule that this file keeps.
 */

#include "sextant_guidance.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

/* An instance: what it was configured with, and what its plan points to. It keeps nothing between steps. */
struct source {
  const sextant_host *host;
  double depth; /* block whose tokens are held; 0 stands for half of the network's blocks */
  double size;  /* root mean square at which they are held */
  sextant_tap tap;
};

/* The same two keys for `sextant plugin info`, as JSON Schema. */
static const char schema[] =
    "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
    "\"depth\": {\"type\": \"integer\", \"minimum\": 1,"
    " \"description\": \"Block whose tokens are held; half of the network's blocks if left out.\"},"
    "\"size\": {\"type\": \"number\", \"default\": 1.0,"
    " \"description\": \"Root mean square at which they are held.\"}}}";

/* ---- Errors ---- */

static void release_message(sextant_message *message) { free(message->owner); }

static sextant_status fail(sextant_message *error, const char *format, ...) {
  enum { LONGEST = 256 };
  char *text = malloc(LONGEST);
  if (text) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, LONGEST, format, arguments);
    va_end(arguments);
    error->text = (sextant_text){(const uint8_t *)text, strlen(text)};
    error->owner = text;
    error->release = release_message;
  }
  return SEXTANT_FAILED;
}

/* ---- From a configuration to an instance ---- */

/* Reads a JSON object of numbers, such as {"depth":2,"size":1.0}. */
static sextant_status configure(struct source *self, const char *json, sextant_message *error) {
  const char *at = json + strspn(json, " \t\r\n{");
  while (*at != '}') {
    char key[64];
    double value;
    int read = 0;
    if (sscanf(at, " \"%63[^\"]\" : %lf %n", key, &value, &read) < 2) {
      return fail(error, "the values must be numbers, as in { depth = 2, size = 1.0 }");
    }
    if (strcmp(key, "depth") == 0) {
      if (!(value >= 1 && value <= 1e6) || value != (double)(uint32_t)value) {
        return fail(error, "`depth` must be a whole number of at least 1");
      }
      self->depth = value;
    } else if (strcmp(key, "size") == 0) {
      if (!isfinite(value) || value <= 0) {
        return fail(error, "`size` must be a finite number above 0");
      }
      self->size = value;
    } else {
      return fail(error, "unknown key `%s`, expected `depth` or `size`", key);
    }
    at += read;
    at += *at == ',';
  }
  return SEXTANT_OK;
}

static sextant_status create(const sextant_host *host, sextant_text config, void **instance, sextant_message *error) {
  struct source *self = calloc(1, sizeof *self);
  char *json = calloc(1, config.len + 1);
  sextant_status status = SEXTANT_FAILED;
  if (self && json) {
    memcpy(json, config.ptr, config.len);
    self->host = host;
    self->size = 1.0;
    status = configure(self, json, error);
  } else {
    fail(error, "out of memory");
  }
  free(json);
  if (status == SEXTANT_OK) {
    *instance = self;
  } else {
    free(self);
  }
  return status;
}

static void destroy(void *instance) { free(instance); }

/* ---- What it needs ---- */

static sextant_status plan(void *instance, const sextant_geometry *geometry, sextant_plan *plan, sextant_message *error) {
  struct source *self = instance;
  const char *network = geometry->networks.ptr;
  for (uint64_t i = 0; i < geometry->networks.len; i++, network += geometry->networks.stride) {
    const sextant_network_info *info = (const sextant_network_info *)network;
    if (info->network == SEXTANT_NETWORK_STUDENT) {
      uint32_t half = (info->depth + 1) / 2;
      self->tap = (sextant_tap){.network = SEXTANT_NETWORK_STUDENT,
                                .kind = SEXTANT_TAP_KIND_BLOCK,
                                .depth = self->depth > 0 ? (uint32_t)self->depth : half};
      plan->taps = (sextant_array){&self->tap, 1, sizeof self->tap};
      return SEXTANT_OK;
    }
  }
  return fail(error, "the host has no student");
}

/* ---- The loss of a step ---- */

/* One operation on one tensor, which is given away: each of them is used once here. */
static sextant_handle apply(const struct source *self, const sextant_step *step, uint32_t opcode, sextant_handle input,
                            const void *attributes, uint32_t line) {
  sextant_operand operand = {.handle = input, .consumed = 1};
  sextant_tensor_ref output = {0};
  sextant_call call = {.size = sizeof call,
                       .session = step->session,
                       .opcode = opcode,
                       .inputs_len = 1,
                       .outputs_len = 1,
                       .line = line,
                       .file = TEXT(__FILE__),
                       .inputs = &operand,
                       .attributes = attributes,
                       .outputs = &output};
  /* A failure gives handle 0, of which every operation makes 0 again; the host keeps its words and reports them. */
  self->host->op(&call);
  return output.handle;
}

#define APPLY(opcode, input, attributes) apply(self, step, opcode, input, attributes, __LINE__)
#define SCALAR(number) (&(sextant_scalar){.size = sizeof(sextant_scalar), .value = (number)})
#define OVER(dimension) (&(sextant_dims){.size = sizeof(sextant_dims), .len = 1, .dims = {dimension}})
#define TO(type) (&(sextant_cast){.size = sizeof(sextant_cast), .dtype = (type)})

static sextant_status guide(void *instance, const sextant_step *step, sextant_guided *guided, sextant_message *error) {
  const struct source *self = instance;
  (void)error; /* whatever can fail here is an operation */
  sextant_handle tokens = ((const sextant_tensor_ref *)step->taps.ptr)->handle; /* [B, T, D] */
  tokens = APPLY(SEXTANT_OP_CAST, tokens, TO(SEXTANT_DTYPE_F32));
  sextant_handle mean = APPLY(SEXTANT_OP_MEAN, APPLY(SEXTANT_OP_POW_SCALAR, tokens, SCALAR(2)), OVER(2)); /* [B, T] */
  sextant_handle r = APPLY(SEXTANT_OP_SQRT, APPLY(SEXTANT_OP_ADD_SCALAR, mean, SCALAR(1e-12)), NULL);
  sextant_handle off = APPLY(SEXTANT_OP_ADD_SCALAR, r, SCALAR(-self->size));
  guided->loss = APPLY(SEXTANT_OP_MEAN, APPLY(SEXTANT_OP_POW_SCALAR, off, SCALAR(2)), OVER(1)); /* [B] */
  return SEXTANT_OK;
}

/* ---- What the library exports ---- */

static sextant_text config_schema(void) { return (sextant_text)TEXT(schema); }

static const sextant_descriptor descriptor = {
    .size = sizeof descriptor,
    .abi_major = SEXTANT_ABI_MAJOR,
    .abi_minor = SEXTANT_ABI_MINOR,
    .name = TEXT("my-source"),
    .version = TEXT("0.1.0"),
    .summary = TEXT("Holds the student's tokens at one length"),
    .create = create,
    .plan = plan,
    .guide = guide,
    .destroy = destroy,
    .config_schema = config_schema,
};

SEXTANT_EXPORT const sextant_descriptor *sextant_guidance_entry(void) { return &descriptor; }
