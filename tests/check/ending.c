/* A source that ends the process, or never ends itself, in the way that its configuration names. */

#include "hostile.h"

#include <stdio.h>
#include <unistd.h>

/* Unlike `raise`, it comes again however often it is handled. */
static void segfault(void) {
  volatile int *volatile nowhere = NULL;
  *nowhere = 1;
}

static sextant_status create(const sextant_host *host, sextant_text config, void **instance, sextant_message *message) {
  (void)message;
  return good_create(host, config, instance);
}

static sextant_status plan(void *instance, const sextant_geometry *geometry, sextant_plan *plan, sextant_message *message) {
  (void)geometry, (void)message;
  return good_plan(instance, plan);
}

static sextant_status guide(void *instance, const sextant_step *step, sextant_guided *guided, sextant_message *message) {
  source *self = instance;
  (void)message;
  puts("a library may write to standard output");
  /* Small batches are harmless, so that there is something to shrink. */
  if (step->batch >= 2) {
    if (is(self, "segfault")) segfault();
    if (is(self, "abort")) {
      fputs("out of luck\n", stderr);
      abort();
    }
    if (is(self, "exit")) exit(0);
    while (is(self, "hang")) sleep(1);
  }
  guided->loss = good_loss(self, step);
  return SEXTANT_OK;
}

static void destroy(void *instance) { free(instance); }

#ifdef AT_LOAD
__attribute__((constructor)) static void at_load(void) { segfault(); }
#endif

static const sextant_descriptor descriptor = {
    .size = sizeof descriptor,
    .abi_major = SEXTANT_ABI_MAJOR,
    .abi_minor = SEXTANT_ABI_MINOR,
    .name = TEXT("ending"),
    .version = TEXT("0.1.0"),
    .summary = TEXT("ends badly"),
    .create = create,
    .plan = plan,
    .guide = guide,
    .destroy = destroy,
};

SEXTANT_EXPORT const sextant_descriptor *sextant_guidance_entry(void) { return &descriptor; }
