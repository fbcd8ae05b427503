/* A source that says when it is built what its key is if left out, and which coefficient it states: -DFACTOR=2.0 -DSTATED=0.25.
 * Its loss is the mean square of the first block's tokens, times `factor`. */

#include "../hostile/hostile.h"

#include <stdio.h>

#define AS_TEXT(number) #number
#define QUOTED(number) AS_TEXT(number)

typedef struct {
  source base;
  double factor;
} rebuilt;

/* {"factor":NUMBER}, or without it. */
static sextant_status create(const sextant_host *host, sextant_text config, void **instance, sextant_message *error) {
  char json[256] = {0};
  const char *at;
  rebuilt *self;
  if (config.len >= sizeof json) return say(error, "the configuration is too long");
  memcpy(json, config.ptr, config.len);
  self = calloc(1, sizeof *self);
  self->base.host = host;
  self->factor = FACTOR;
  at = strstr(json, "\"factor\":");
  if (at != NULL) sscanf(at, "\"factor\":%lf", &self->factor);
  *instance = self;
  return SEXTANT_OK;
}

static sextant_status plan(void *instance, const sextant_geometry *geometry, sextant_plan *plan, sextant_message *error) {
  (void)geometry, (void)error;
  return good_plan(instance, plan);
}

static sextant_status guide(void *instance, const sextant_step *step, sextant_guided *guided, sextant_message *error) {
  const source *self = instance;
  const sextant_scalar factor = {sizeof factor, ((const rebuilt *)instance)->factor};
  (void)error;
  guided->loss = ONE(SEXTANT_OP_MUL_SCALAR, &factor, good_loss(self, step));
  return SEXTANT_OK;
}

static sextant_text config_schema(void) {
  return (sextant_text)TEXT("{\"properties\":{\"factor\":{\"default\":" QUOTED(FACTOR) "}}}");
}

static double coefficient(sextant_text config) {
  (void)config;
  return STATED;
}

SEXTANT_EXPORT const sextant_descriptor *sextant_guidance_entry(void) {
  static const sextant_descriptor descriptor = {
      .size = sizeof descriptor,
      .abi_major = SEXTANT_ABI_MAJOR,
      .abi_minor = SEXTANT_ABI_MINOR,
      .name = TEXT("rebuilt"),
      .version = TEXT("0.1.0"),
      .summary = TEXT("is built anew with other defaults"),
      .create = create,
      .plan = plan,
      .guide = guide,
      .destroy = good_destroy,
      .config_schema = config_schema,
      .coefficient = coefficient,
  };
  return &descriptor;
}
