/* A library whose descriptor is spoilt by a macro, such as -DMAJOR=2 or -DCREATE=NULL; without one it is in order. */

#include "hostile.h"

#ifndef ANSWER
#define ANSWER descriptor
#endif
#ifndef SIZE
#define SIZE sizeof(sextant_descriptor)
#endif
/* Bytes behind the end, as of a later version. */
#ifndef TAIL
#define TAIL 8
#endif
#ifndef MAJOR
#define MAJOR SEXTANT_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR SEXTANT_ABI_MINOR
#endif
#ifndef NAME
#define NAME TEXT("hostile")
#endif
#ifndef VERSION
#define VERSION TEXT("0.1.0")
#endif
#ifndef SUMMARY
#define SUMMARY TEXT("spoils its descriptor")
#endif
#ifndef CREATE
#define CREATE create
#endif
#ifndef PLAN
#define PLAN plan
#endif
#ifndef GUIDE
#define GUIDE guide
#endif
#ifndef DESTROY
#define DESTROY destroy
#endif
#ifndef SCHEMA
#define SCHEMA TEXT("{}")
#endif
#ifndef COEFFICIENT
#define COEFFICIENT 0.0
#endif
#ifndef ENTRY
#define ENTRY sextant_guidance_entry
#endif

/* Some of these are left out of the descriptor. */
#define MAYBE __attribute__((unused)) static

#define LATIN_NAME {latin, sizeof latin}
#define NULL_NAME {NULL, 5}

MAYBE sextant_status create(const sextant_host *host, sextant_text config, void **instance, sextant_message *error) {
  (void)error;
  return good_create(host, config, instance);
}

MAYBE sextant_status plan(void *instance, const sextant_geometry *geometry, sextant_plan *plan, sextant_message *error) {
  (void)geometry, (void)error;
  return good_plan(instance, plan);
}

MAYBE sextant_status guide(void *instance, const sextant_step *step, sextant_guided *guided, sextant_message *error) {
  (void)error;
  guided->loss = good_loss(instance, step);
  return SEXTANT_OK;
}

MAYBE void destroy(void *instance) { good_destroy(instance); }

static sextant_text config_schema(void) { return (sextant_text)SCHEMA; }

static double coefficient(sextant_text config) {
  (void)config;
  return COEFFICIENT;
}

SEXTANT_EXPORT const sextant_descriptor *ENTRY(void) {
  static const struct {
    sextant_descriptor known;
    uint8_t later[TAIL];
  } all = {{SIZE, MAJOR, MINOR, NAME, VERSION, SUMMARY, CREATE, PLAN, GUIDE, DESTROY, config_schema,
            coefficient},
           {1}};
  const sextant_descriptor *descriptor = &all.known;
  (void)descriptor;
  return ANSWER;
}
