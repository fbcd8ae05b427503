/* What the hostile libraries share: a source in good order, of which each spoils one thing.
 *
 * The case is the `case` of the configuration, so that one library holds many. */

#ifndef HOSTILE_H
#define HOSTILE_H

#include <sextant_guidance.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}
#define LIST(array) ((sextant_array){array, sizeof(array) / sizeof((array)[0]), sizeof((array)[0])})

/* Bytes that are no UTF-8, as text. */
static const uint8_t latin[] = {'l', 0xe9, 't', 0xe9};
#define LATIN ((sextant_text){latin, sizeof latin})
/* A length without anything there. */
#define NOTHING ((sextant_text){NULL, 5})

#define MAX_CASE 64

typedef struct {
  const sextant_host *host;
  char name[MAX_CASE];
  sextant_tap tap;
} source;

/* A fault: its name, and what it does instead of, or after, the good thing. */
static inline int is(const source *self, const char *name) { return strcmp(self->name, name) == 0; }

/* Fails with a static text. */
static inline sextant_status say(sextant_message *message, const char *words) {
  message->text = (sextant_text){(const uint8_t *)words, strlen(words)};
  return SEXTANT_FAILED;
}

/* {"case":"NAME"} */
static inline sextant_status good_create(const sextant_host *host, sextant_text config, void **instance) {
  static const char key[] = "\"case\":\"";
  source *self = calloc(1, sizeof *self);
  self->host = host;
  for (uint64_t i = 0; i + sizeof key < config.len; i++) {
    if (memcmp(config.ptr + i, key, sizeof key - 1) == 0) {
      const uint8_t *from = config.ptr + i + sizeof key - 1;
      for (size_t n = 0; n + 1 < MAX_CASE && from[n] != '"'; n++) self->name[n] = (char)from[n];
      break;
    }
  }
  *instance = self;
  return SEXTANT_OK;
}

static inline sextant_status good_plan(source *self, sextant_plan *plan) {
  self->tap = (sextant_tap){SEXTANT_NETWORK_STUDENT, SEXTANT_TAP_KIND_BLOCK, 1, 0};
  plan->taps = (sextant_array){&self->tap, 1, sizeof self->tap};
  return SEXTANT_OK;
}

static inline void good_destroy(void *instance) { free(instance); }

/* The operation with these operands and one result; 0 if it fails. */
static inline sextant_handle op(const source *self, const sextant_step *step, uint32_t opcode, const void *attributes,
                                uint32_t count, const sextant_handle *handles) {
  sextant_operand inputs[4] = {{0, 0, {0}}};
  sextant_tensor_ref result = {0};
  sextant_call call = {sizeof call, step->session, opcode, count, 1, 7, TEXT("hostile.c"), inputs, attributes, &result};
  for (uint32_t i = 0; i < count; i++) inputs[i].handle = handles[i];
  return self->host->op(&call) == SEXTANT_OK ? result.handle : 0;
}

#define NONE(opcode, attributes) op(self, step, opcode, attributes, 0, NULL)
#define ONE(opcode, attributes, a) op(self, step, opcode, attributes, 1, (const sextant_handle[]){a})
#define TWO(opcode, attributes, a, b) op(self, step, opcode, attributes, 2, (const sextant_handle[]){a, b})

static inline sextant_handle first_tap(const sextant_step *step) {
  return ((const sextant_tensor_ref *)step->taps.ptr)->handle;
}

/* Mean square of the tokens, f32 [B]. */
static inline sextant_handle good_loss(const source *self, const sextant_step *step) {
  const sextant_cast f32 = {sizeof f32, SEXTANT_DTYPE_F32, 0};
  const sextant_dims rest = {sizeof rest, 2, 0, {0}, {1, 2}};
  sextant_handle tokens = ONE(SEXTANT_OP_CAST, &f32, first_tap(step));
  return ONE(SEXTANT_OP_MEAN, &rest, TWO(SEXTANT_OP_MUL, NULL, tokens, tokens));
}

#endif
