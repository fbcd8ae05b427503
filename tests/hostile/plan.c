/* A library that fails in create, or asks for what it cannot have. */

#include "hostile.h"

static const uint64_t huge = (uint64_t)1 << 60;

static sextant_status create(const sextant_host *host, sextant_text config, void **instance, sextant_message *error) {
  good_create(host, config, instance);
  source *self = *instance;
  if (is(self, "create-error")) return say(error, "no luck in create");
  if (is(self, "create-mute")) return SEXTANT_FAILED;
  if (is(self, "create-status")) return 7;
  if (is(self, "create-latin")) {
    error->text = LATIN;
    return SEXTANT_FAILED;
  }
  if (is(self, "create-null-text")) {
    error->text = NOTHING;
    return SEXTANT_FAILED;
  }
  return SEXTANT_OK;
}

static sextant_parameter_info parameter(const char *name, uint32_t rank, uint64_t extent) {
  sextant_parameter_info info = {{(const uint8_t *)name, strlen(name)}, {rank, 0, {0}}, SEXTANT_INIT_KIND_CONSTANT, 1,
                                 {0}, 0.0, {NULL, 0, 0}};
  for (uint32_t i = 0; i < rank && i < SEXTANT_MAX_RANK; i++) info.shape.dims[i] = extent;
  return info;
}

static void taps(const source *self, sextant_plan *plan, sextant_tap *tap) {
  if (is(self, "depth-0")) tap->depth = 0;
  if (is(self, "depth-999")) tap->depth = 999;
  if (is(self, "teacher")) tap->network = SEXTANT_NETWORK_TEACHER;
  if (is(self, "network-77")) tap->network = 77;
  if (is(self, "kind-77")) tap->kind = 77;
  if (is(self, "attention-0")) *tap = (sextant_tap){SEXTANT_NETWORK_STUDENT, SEXTANT_TAP_KIND_ATTENTION, 0, 0};
  if (is(self, "attention-of-ema")) *tap = (sextant_tap){SEXTANT_NETWORK_EMA, SEXTANT_TAP_KIND_ATTENTION, 1, 0};
  if (is(self, "taps-null")) plan->taps.ptr = NULL;
  if (is(self, "taps-trillion")) plan->taps.len = (uint64_t)1 << 40;
  if (is(self, "taps-wrapping")) plan->taps.len = UINT64_MAX;
  if (is(self, "stride-0")) plan->taps.stride = 0;
  if (is(self, "stride-small")) plan->taps.stride = 4;
  if (is(self, "stride-huge")) plan->taps.stride = huge;
  if (is(self, "misaligned")) {
    static uint8_t bytes[sizeof(sextant_tap) + 1];
    memcpy(bytes + 1, tap, sizeof *tap);
    plan->taps.ptr = bytes + 1;
  }
}

static void texts(const source *self, sextant_plan *plan) {
  static sextant_text text;
  static char long_name[4096];
  sextant_array *list = strncmp(self->name, "field-", 6) == 0 ? &plan->fields : &plan->metrics;
  if (is(self, "field-missing")) text = (sextant_text)TEXT("dinov7");
  else if (is(self, "field-null")) text = NOTHING;
  else if (is(self, "field-latin") || is(self, "metric-latin")) text = LATIN;
  else if (is(self, "metric-empty")) text = (sextant_text){NULL, 0};
  else if (is(self, "metric-long")) {
    memset(long_name, 'm', sizeof long_name);
    text = (sextant_text){(const uint8_t *)long_name, sizeof long_name};
  } else if (is(self, "metric-endless")) text = (sextant_text){latin, UINT64_MAX};
  else return;
  *list = (sextant_array){&text, 1, sizeof text};
}

static void parameters(const source *self, sextant_plan *plan) {
  static sextant_parameter_info list[5000];
  static const float values[2] = {1.0f, NAN};
  uint64_t count = 1;
  list[0] = parameter("w", 2, 4);
  if (is(self, "parameter-huge")) list[0] = parameter("w", 1, huge);
  else if (is(self, "parameter-overflow")) list[0] = parameter("w", 8, (uint64_t)1 << 32);
  else if (is(self, "parameter-rank-9")) list[0] = parameter("w", 9, 2);
  else if (is(self, "parameter-rank-billions")) list[0] = parameter("w", UINT32_MAX, 2);
  else if (is(self, "parameter-rank-0")) list[0] = parameter("w", 0, 0);
  else if (is(self, "parameter-empty")) list[0] = parameter("w", 2, 0);
  else if (is(self, "parameter-nameless")) list[0] = parameter("", 2, 4);
  else if (is(self, "parameter-newline")) list[0] = parameter("a\nb", 2, 4);
  else if (is(self, "parameter-slash")) list[0] = parameter("a/b", 2, 4);
  else if (is(self, "parameter-dots")) list[0] = parameter("a..b", 2, 4);
  else if (is(self, "parameter-twice")) list[1] = list[0], count = 2;
  else if (is(self, "parameter-total")) {
    static char names[64][4];
    for (count = 0; count < 64; count++) {
      names[count][0] = 'w';
      names[count][1] = (char)('0' + count / 8);
      names[count][2] = (char)('0' + count % 8);
      list[count] = parameter(names[count], 1, (uint64_t)1 << 28);
    }
  } else if (is(self, "parameter-many")) count = 5000;
  else if (is(self, "xavier-vector")) list[0] = parameter("w", 1, 4), list[0].init = SEXTANT_INIT_KIND_XAVIER_UNIFORM;
  else if (is(self, "init-9")) list[0].init = 9;
  else if (is(self, "init-infinite")) list[0].value = INFINITY;
  else if (is(self, "deviation-nan")) list[0].init = SEXTANT_INIT_KIND_NORMAL, list[0].value = NAN;
  else if (strncmp(self->name, "values-", 7) == 0) {
    list[0] = parameter("w", 1, is(self, "values-few") ? 1000 : 2);
    list[0].init = SEXTANT_INIT_KIND_VALUES;
    list[0].values = (sextant_array){is(self, "values-null") ? NULL : values, 2, sizeof values[0]};
    if (is(self, "values-endless")) list[0].values.len = huge;
  } else if (is(self, "changing")) {
    static uint64_t calls;
    list[0] = parameter("w", 2, 4 + calls++);
  } else return;
  plan->parameters = (sextant_array){list, count, sizeof list[0]};
}

static void buffers(const source *self, sextant_plan *plan) {
  static sextant_buffer_info buffer;
  buffer = (sextant_buffer_info){TEXT("bank"), SEXTANT_DTYPE_F32, 0, {2, 0, {4, 4}}, 0, {0}, 0, 0.0, {NULL, 0, 0}};
  if (is(self, "buffer-dtype-0")) buffer.dtype = 0;
  else if (is(self, "buffer-agreement-9")) buffer.agreement = 9;
  else if (is(self, "buffer-huge")) buffer.shape.dims[0] = huge;
  else return;
  plan->buffers = (sextant_array){&buffer, 1, sizeof buffer};
}

static sextant_status plan(void *instance, const sextant_geometry *geometry, sextant_plan *plan, sextant_message *error) {
  source *self = instance;
  (void)geometry;
  good_plan(self, plan);
  taps(self, plan, &self->tap);
  texts(self, plan);
  parameters(self, plan);
  buffers(self, plan);
  plan->has_t_range = strncmp(self->name, "t-", 2) == 0;
  plan->t_min = is(self, "t-nan") ? NAN : 0.8;
  plan->t_max = 0.2;
  if (is(self, "minor-99")) plan->required_minor = 99;
  if (is(self, "size-lies")) plan->size = UINT64_MAX;
  if (is(self, "plan-error")) return say(error, "no luck in plan");
  if (is(self, "plan-mute")) return SEXTANT_FAILED;
  return SEXTANT_OK;
}

static sextant_status guide(void *instance, const sextant_step *step, sextant_guided *guided, sextant_message *error) {
  (void)error;
  guided->loss = good_loss(instance, step);
  return SEXTANT_OK;
}

SEXTANT_EXPORT const sextant_descriptor *sextant_guidance_entry(void) {
  static const sextant_descriptor descriptor = {
      sizeof descriptor, SEXTANT_ABI_MAJOR, SEXTANT_ABI_MINOR, TEXT("hostile"), TEXT("0.1.0"), TEXT("plans badly"),
      create,            plan,              guide,             good_destroy,    NULL, NULL};
  return &descriptor;
}
