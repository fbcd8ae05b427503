/* LayerSync (arXiv 2510.12581) in C: shallow tokens are aligned with deeper ones of the same network.
 *
 *   loss = -mean over tokens of the cosine of (tokens after block `shallow`, tokens after block `deep`, detached)
 *
 * The whole contract is in sextant_guidance.h; this file needs nothing else of Sextant's. */

#include <sextant_guidance.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

/* What lives from create to destroy: settings, and what the plan points to. No tensors, nothing that a step changes. */
typedef struct {
  const sextant_host *host;
  uint32_t shallow, deep;
  sextant_tap taps[2];
} source;

/* ---- Errors: a text of ours, which the host has freed once it has read it. ---- */

static void release(sextant_message *message) {
  free(message->owner);
  message->owner = NULL;
}

static sextant_status fail(sextant_message *message, const char *format, ...) {
  char *text = malloc(256);
  if (text != NULL) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, 256, format, arguments);
    va_end(arguments);
    message->text.ptr = (const uint8_t *)text;
    message->text.len = strlen(text);
    message->owner = text;
    message->release = release;
  }
  return SEXTANT_FAILED;
}

/* ---- Configuration: a JSON object of whole numbers, such as {"shallow":2,"deep":4}. ---- */

static const char schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"shallow\":{\"type\":\"integer\",\"minimum\":0,\"default\":1,\"description\":\"Block whose tokens are guided.\"},"
    "\"deep\":{\"type\":\"integer\",\"minimum\":1,\"default\":2,\"description\":\"Block whose tokens guide.\"}}}";

static sextant_status configure(source *self, sextant_text config, sextant_message *error) {
  char json[512], key[32];
  int used = 0;
  unsigned value;
  if (config.len >= sizeof json) return fail(error, "the configuration is too long");
  memcpy(json, config.ptr, config.len);
  json[config.len] = '\0';
  const char *at = json + strspn(json, "{ \t\n");
  while (*at == '"') {
    if (sscanf(at, "\"%31[^\"]\" : %u%n", key, &value, &used) != 2)
      return fail(error, "expected a key and a whole number at: %.40s", at);
    if (strcmp(key, "shallow") == 0) self->shallow = value;
    else if (strcmp(key, "deep") == 0) self->deep = value;
    else return fail(error, "unknown key `%s`: there are `shallow` and `deep`", key);
    at += used;
    at += strspn(at, ", \t\n");
  }
  if (*at != '}') return fail(error, "expected a key and a whole number at: %.40s", at);
  if (self->shallow >= self->deep) return fail(error, "`shallow` must be below `deep`");
  return SEXTANT_OK;
}

/* ---- Operations. ---- */

/* One operation with one result; operands are kept. If it fails, so does the step: the host knows why and where, and all
 * that follows gives handle 0. */
static sextant_handle run(const source *self, const sextant_step *step, int line, uint32_t opcode, const void *attributes,
                          uint32_t count, const sextant_handle *handles) {
  sextant_operand inputs[3] = {{0, 0, {0}}};
  sextant_tensor_ref result;
  sextant_call call = {sizeof call, step->session, opcode, count, 1, (uint32_t)line, TEXT(__FILE__), NULL, NULL, NULL};
  for (uint32_t i = 0; i < count; i++) inputs[i].handle = handles[i];
  call.inputs = inputs;
  call.attributes = attributes;
  call.outputs = &result;
  return self->host->op(&call) == SEXTANT_OK ? result.handle : 0;
}

#define ONE(opcode, attributes, a) run(self, step, __LINE__, opcode, attributes, 1, (const sextant_handle[]){a})
#define TWO(opcode, a, b) run(self, step, __LINE__, opcode, NULL, 2, (const sextant_handle[]){a, b})

/* The student's tap at this place of the plan, in f32: taps come in the type that the run computes in. */
static sextant_handle tap(const source *self, const sextant_step *step, uint64_t index) {
  const sextant_cast f32 = {sizeof f32, SEXTANT_DTYPE_F32, 0};
  /* The host's elements may be longer than ours: its stride counts. */
  const char *element = (const char *)step->taps.ptr + index * step->taps.stride;
  return ONE(SEXTANT_OP_CAST, &f32, ((const sextant_tensor_ref *)element)->handle);
}

/* Lengths of the tokens, [B, T]; limited before the root, whose gradient at 0 is infinite. */
static sextant_handle length(const source *self, const sextant_step *step, sextant_handle tokens) {
  const sextant_dims width = {sizeof width, 1, 0, {0}, {2}};
  const sextant_range limits = {sizeof limits, 1e-24, INFINITY};
  sextant_handle squares = ONE(SEXTANT_OP_SUM, &width, TWO(SEXTANT_OP_MUL, tokens, tokens));
  return ONE(SEXTANT_OP_SQRT, NULL, ONE(SEXTANT_OP_CLAMP, &limits, squares));
}

/* ---- The four functions. ---- */

static sextant_status create(const sextant_host *host, sextant_text config, void **instance, sextant_message *error) {
  source *self = malloc(sizeof *self);
  if (self == NULL) return fail(error, "no memory");
  *self = (source){host, 1, 2, {{0, 0, 0, 0}}};
  if (configure(self, config, error) != SEXTANT_OK) {
    free(self);
    return SEXTANT_FAILED;
  }
  *instance = self;
  return SEXTANT_OK;
}

static sextant_status plan(void *instance, const sextant_geometry *geometry, sextant_plan *plan, sextant_message *error) {
  source *self = instance;
  (void)geometry, (void)error; /* A depth that the network lacks is refused by the host. */
  self->taps[0] = (sextant_tap){SEXTANT_NETWORK_STUDENT, SEXTANT_TAP_KIND_BLOCK, self->shallow, 0};
  self->taps[1] = (sextant_tap){SEXTANT_NETWORK_STUDENT, SEXTANT_TAP_KIND_BLOCK, self->deep, 0};
  plan->taps = (sextant_array){self->taps, 2, sizeof self->taps[0]};
  return SEXTANT_OK;
}

static sextant_status guide(void *instance, const sextant_step *step, sextant_guided *guided, sextant_message *error) {
  const source *self = instance;
  const sextant_dims width = {sizeof width, 1, 0, {0}, {2}}, tokens = {sizeof tokens, 1, 0, {0}, {1}};
  (void)error;
  sextant_handle a = tap(self, step, 0); /* [B, T, D] */
  sextant_handle b = ONE(SEXTANT_OP_DETACH, NULL, tap(self, step, 1));
  sextant_handle products = ONE(SEXTANT_OP_SUM, &width, TWO(SEXTANT_OP_MUL, a, b)); /* [B, T] */
  sextant_handle lengths = TWO(SEXTANT_OP_MUL, length(self, step, a), length(self, step, b));
  sextant_handle cosines = TWO(SEXTANT_OP_DIV, products, lengths);
  guided->loss = ONE(SEXTANT_OP_NEG, NULL, ONE(SEXTANT_OP_MEAN, &tokens, cosines)); /* [B] */
  return guided->loss != 0 ? SEXTANT_OK : SEXTANT_FAILED;
}

static void destroy(void *instance) { free(instance); }

static sextant_text config_schema(void) { return (sextant_text)TEXT(schema); }

/* The published one, whatever the depths: what a recipe trains with that names none. */
static double coefficient(sextant_text config) {
  (void)config;
  return 0.2;
}

SEXTANT_EXPORT const sextant_descriptor *sextant_guidance_entry(void) {
  static const sextant_descriptor descriptor = {
      .size = sizeof descriptor,
      .abi_major = SEXTANT_ABI_MAJOR,
      .abi_minor = SEXTANT_ABI_MINOR,
      .name = TEXT("layersync-c"),
      .version = TEXT("0.1.0"),
      .summary = TEXT("Aligns shallow tokens with deeper ones of the same network (LayerSync)"),
      .create = create,
      .plan = plan,
      .guide = guide,
      .destroy = destroy,
      .config_schema = config_schema,
      .coefficient = coefficient,
  };
  return &descriptor;
}
