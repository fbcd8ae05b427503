/* Calls that are wrong in themselves: null, too short, of nothing that exists. */

static void calls(const source *self, const sextant_step *step) {
  const sextant_dim dim = {sizeof dim, 0, 0};
  const sextant_dim short_dim = {4, 0, 0};
  sextant_operand x = {step->x.handle, 0, {0}};
  sextant_operand both[3] = {x, x, x};
  sextant_tensor_ref result;
  sextant_call call = {sizeof call, step->session, SEXTANT_OP_NEG, 1, 1, 7, TEXT("hostile.c"), &x, NULL, &result};

  if (is(self, "call-null")) self->host->op(NULL);
  else if (is(self, "call-short")) call.size = 8, self->host->op(&call);
  else if (is(self, "call-size-0")) call.size = 0, self->host->op(&call);
  else if (is(self, "inputs-null")) call.inputs = NULL, self->host->op(&call);
  else if (is(self, "outputs-null")) call.outputs = NULL, self->host->op(&call);
  else if (is(self, "outputs-none")) call.outputs_len = 0, call.outputs = NULL, self->host->op(&call);
  else if (is(self, "inputs-billions")) call.inputs_len = UINT32_MAX, self->host->op(&call);
  else if (is(self, "outputs-billions")) call.outputs_len = UINT32_MAX, self->host->op(&call);
  else if (is(self, "opcode-9999")) call.opcode = 9999, self->host->op(&call);
  else if (is(self, "operands-few")) call.opcode = SEXTANT_OP_ADD, self->host->op(&call);
  else if (is(self, "operands-many")) call.inputs = both, call.inputs_len = 3, self->host->op(&call);
  else if (is(self, "attributes-null")) call.opcode = SEXTANT_OP_SOFTMAX, self->host->op(&call);
  else if (is(self, "attributes-short")) {
    call.opcode = SEXTANT_OP_SOFTMAX, call.attributes = &short_dim;
    self->host->op(&call);
  } else if (is(self, "file-latin")) {
    call.file = LATIN, call.opcode = 9999, call.attributes = &dim;
    self->host->op(&call);
  } else if (is(self, "session-0")) call.session = 0, self->host->op(&call);
  else if (is(self, "session-next")) call.session++, self->host->op(&call);
  else if (is(self, "session-endless")) call.session = UINT64_MAX, self->host->op(&call);
  else if (is(self, "log")) {
    self->host->log(77, NOTHING);
    self->host->log(0, LATIN);
    self->host->log(UINT32_MAX, (sextant_text){NULL, UINT64_MAX});
  }
}
