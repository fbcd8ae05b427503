/* A library that works for two steps (or another number, by a macro), and then does its case in guide. */

#include "hostile.h"
#include "calls.h"
#include "tensors.h"
#include "threads.h"

#ifndef FIRST_BAD_STEP
#define FIRST_BAD_STEP 2
#endif

static sextant_status create(const sextant_host *host, sextant_text config, void **instance, sextant_message *error) {
  (void)error;
  return good_create(host, config, instance);
}

static sextant_status plan(void *instance, const sextant_geometry *geometry, sextant_plan *plan, sextant_message *error) {
  static const sextant_text metrics[] = {TEXT("one"), TEXT("two")};
  static const sextant_buffer_info buffers[] = {
      {TEXT("bank"), SEXTANT_DTYPE_F32, 0, {2, 0, {4, 4}}, 0, {0}, 0, 0.0, {NULL, 0, 0}}};
  static const sextant_parameter_info parameters[] = {
      {TEXT("w"), {2, 0, {4, 4}}, SEXTANT_INIT_KIND_CONSTANT, 1, {0}, 1.0, {NULL, 0, 0}}};
  (void)geometry, (void)error;
  plan->metrics = LIST(metrics);
  plan->buffers = LIST(buffers);
  plan->parameters = LIST(parameters);
  return good_plan(instance, plan);
}

/* Ends of guide that are no good, with and without words. */
static int ending(const source *self, sextant_message *error, sextant_status *status) {
  *status = SEXTANT_FAILED;
  if (is(self, "error")) say(error, "no luck in guide");
  else if (is(self, "error-mute")) return 1;
  else if (is(self, "error-status")) *status = 4000000000u;
  else if (is(self, "error-latin")) error->text = LATIN;
  else if (is(self, "error-null-text")) error->text = NOTHING;
  else if (is(self, "error-terminal")) say(error, "\033[2J\033]0;owned\007 cleared");
  else if (is(self, "endless")) {
    for (volatile int forever = 1; forever;) continue;
  } else if (is(self, "error-endless")) {
    static char words[1 << 22];
    memset(words, 'w', sizeof words - 1);
    say(error, words);
  } else return 0;
  return 1;
}

static sextant_status guide(void *instance, const sextant_step *step, sextant_guided *guided, sextant_message *error) {
  const source *self = instance;
  sextant_status status = SEXTANT_OK;
  guided->loss = good_loss(self, step);
  remember(self, step, guided);
  if (step->index < FIRST_BAD_STEP) return SEXTANT_OK;
  if (ending(self, error, &status)) return status;
  if (threads(self, step, error, &status)) return status;
  calls(self, step);
  tensors(self, step);
  answer(self, step, guided);
  return SEXTANT_OK;
}

static void destroy(void *instance) {
  const source *self = instance;
  if (is(self, "destroy-log")) self->host->log(1, (sextant_text)TEXT("hostile: the end went wrong"));
  good_destroy(instance);
}

SEXTANT_EXPORT const sextant_descriptor *sextant_guidance_entry(void) {
  static const sextant_descriptor descriptor = {
      sizeof descriptor, SEXTANT_ABI_MAJOR, SEXTANT_ABI_MINOR, TEXT("hostile"), TEXT("0.1.0"), TEXT("guides badly"),
      create,            plan,              guide,             destroy,         NULL, NULL};
  return &descriptor;
}
