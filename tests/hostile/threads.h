/* Calls from threads that are not the one inside guide, during it and after it. */

#include <pthread.h>
#include <stdatomic.h>

typedef struct {
  const source *self;
  uint64_t session;
  sextant_handle handle;
  int tries;
  int answered;
} visitor;

static void *visit(void *of) {
  visitor *v = of;
  for (int i = 0; i < v->tries; i++) {
    sextant_operand x = {v->handle, 0, {0}};
    sextant_tensor_ref result = {0};
    sextant_call call = {sizeof call, v->session, SEXTANT_OP_NEG, 1, 1, 7, TEXT("hostile.c"), &x, NULL, &result};
    v->answered += v->self->host->op(&call) == SEXTANT_OK || result.handle != 0;
    v->answered += v->self->host->release(v->session, v->handle) == SEXTANT_OK;
  }
  return NULL;
}

static sextant_status report(sextant_message *error, int answered) {
  return say(error, answered ? "the host answered another thread" : "the host refused the other thread");
}

/* A thread of the step before goes on with its session and its handles while the host is between two steps. */
static visitor late;
static pthread_t thread;
static atomic_int running;

static int threads(const source *self, const sextant_step *step, sextant_message *error, sextant_status *status) {
  if (is(self, "thread-during")) {
    visitor now = {self, step->session, step->x.handle, 100, 0};
    pthread_create(&thread, NULL, visit, &now);
    pthread_join(thread, NULL);
    *status = report(error, now.answered);
    return 1;
  }
  if (!is(self, "thread-after")) return 0;
  if (atomic_exchange(&running, 1) == 0) {
    late = (visitor){self, step->session, step->x.handle, 2000, 0};
    pthread_create(&thread, NULL, visit, &late);
    *status = SEXTANT_OK;
    return 1;
  }
  pthread_join(thread, NULL);
  *status = report(error, late.answered);
  return 1;
}
