/* The contract between Sextant and a guidance source: what a shared library must export to guide the training of a
 * diffusion transformer, and what it may ask of the trainer (the host) in return. Version 1.2.
 *
 * Made from the Rust source of sextant-plugin-api by its tests; not to be edited. examples/c/ holds a whole source in C.
 *
 * WHAT A SOURCE IS
 * In each training step the host runs the network that is trained (the student) on noised latents, and computes the
 * denoising loss. A source adds one more loss per sample: it says beforehand, in a plan, which activations (taps),
 * batch fields and networks it reads and which parameters it trains, and computes its loss from them in each step.
 * When and how strongly it guides (coefficient, first and last step, warm-up) is the recipe's, not the source's.
 *
 * LIFECYCLE
 * The library exports one function, sextant_guidance_entry, which answers a static descriptor with four functions:
 *
 *   create    from a configuration (JSON) to an instance
 *   plan      what the instance needs, for the shapes of this run; before training
 *   guide     the loss of one step; many times
 *   destroy   the end of the instance
 *
 * There is one instance for each device and phase. Libraries are never unloaded.
 *
 * TENSORS ARE HANDLES
 * A source holds integers; the host holds the tensors, on its device and in its graph of derivatives. The source asks
 * for operations by number (host->op), the host records them, and gradients of the loss flow back through them on their
 * own. A handle lives from the call that made it until it is released, consumed, or guide returns.
 *  - Handle 0 is no tensor. As an operand it means one that is left out, where the operation allows that (marked `?`);
 *    anywhere else it is the result of an operation that failed, and the operation fails as well, without a new message.
 *  - An operand may be marked consumed: the source gives its handle away, and the host may reuse its memory. The handle
 *    is dead after the call, even where the operation fails. A handle that is several operands of one call is given away
 *    if any of them is marked.
 *  - A handle that is stale, made up, or of another instance is an error with a message, never undefined behaviour.
 *  - A source needs not release anything: what is left is released when guide returns. It saves memory to do so.
 *
 * THREADS
 * An instance is called by one thread at a time, not always the same. op and release work during guide and on its thread
 * only; at other times and on other threads they fail. log works always. Each function says so in brackets.
 *
 * ERRORS
 * Functions return SEXTANT_OK or SEXTANT_FAILED, and the one that fails says why in a sextant_message, whose text is
 * freed by the side that made it (through release). A failed create or plan ends the run before training, with exit code
 * 2; a failed guide stops it after the last good step, whose checkpoint is kept. The host keeps the first operation that
 * fails in a step, with the shapes and the file and line of the call, and reports it however guide ends; after it, every
 * operation of the step fails at once.
 * Nothing may unwind, throw or longjmp across this boundary, in either direction.
 *
 * MEMORY
 * What is passed into a function is valid until that function returns, unless it says otherwise. What a source points to
 * in its answers belongs to the instance, until the call named beside it. Neither side frees what the other allocated.
 *
 * VERSIONS AND SIZES
 * Every struct that can grow begins with its size. Whoever makes a struct writes its own sizeof there; whoever gets one
 * reads and writes no more than the smaller of that and its own. The host makes plan, guided and message for the source
 * to fill in: leave their size as it is, and write no field beyond it. Arrays carry the size of an element as a stride.
 * Enumerations cross as uint32_t, truth values as uint8_t (0 or 1), texts as UTF-8 with a length. Reserved fields are 0.
 * The major version must match, or the library is refused. A minor version only adds: fields at the end of structs,
 * operations, numbers of enumerations. A plan states the minor version that it needs; docs/abi.md has the rules.
 *
 * TRUST
 * A library is native code with all rights of the trainer. The host checks everything that it can check (numbers,
 * lengths, UTF-8, handles); that a pointer is valid for its length it cannot.
 */

#ifndef SEXTANT_GUIDANCE_H
#define SEXTANT_GUIDANCE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Major version: raised when something that exists changes its layout or meaning.
#define SEXTANT_ABI_MAJOR 1

// Minor version: raised when something is added (a field at a struct's end, an operation, a tap kind).
#define SEXTANT_ABI_MINOR 2

// Largest rank of a tensor that crosses the boundary.
#define SEXTANT_MAX_RANK 8

// Outcome of a call: SEXTANT_OK or SEXTANT_FAILED.
typedef uint32_t sextant_status;

// The call did what was asked.
#define SEXTANT_OK 0

// The call failed; its sextant_message, if it has one, says why.
#define SEXTANT_FAILED 1

// A tensor of the host's: slot in the low 32 bits, generation in the high 32. 0 is no tensor.
typedef uint64_t sextant_handle;

// UTF-8 text, borrowed and not terminated by a zero byte. An empty text may have a null pointer.
//
// The bytes must live as long as is said wherever a text is passed; whoever wants them longer copies them.
typedef struct sextant_text {
  // First byte.
  const uint8_t *ptr;
  // Length in bytes.
  uint64_t len;
} sextant_text;

// A borrowed array whose elements are `stride` bytes apart, so that either side may know a longer element:
// element i begins at `ptr + i * stride`. Write the size of your element as `stride`, and read with the other side's.
//
// The elements must live as long as is said wherever an array is passed.
typedef struct sextant_array {
  // First element; may be null when `len` is 0.
  const void *ptr;
  // Number of elements.
  uint64_t len;
  // Distance in bytes from one element to the next; at least the size of the element in version 1.0. Without
  // meaning when `len` is 0.
  uint64_t stride;
} sextant_array;

// An error's text, owned by the side that wrote it.
//
// The caller passes one with `size` set and the rest zero. The callee that fails fills in `text`, and `owner` and
// `release` if the text must be freed. The caller copies the text and then calls `release` once, unless it is null;
// after that the callee may reuse the memory. A callee that succeeds leaves it alone.
typedef struct sextant_message {
  // sizeof(sextant_message) as the caller knows it.
  uint64_t size;
  // The words for a person.
  struct sextant_text text;
  // The callee's own; passed back untouched.
  void *owner;
  // Frees what `owner` holds; gets the same message back. Null where there is nothing to free, as for a static
  // text. `[right after the call that failed, on its thread]`
  void (*release)(struct sextant_message *message);
} sextant_message;

// Rank and extents. Entries of `dims` from `rank` on are 0.
typedef struct sextant_shape {
  // Number of dimensions, at most SEXTANT_MAX_RANK.
  uint32_t rank;
  // Padding, 0.
  uint32_t reserved;
  // Extents; zero extents are legal.
  uint64_t dims[SEXTANT_MAX_RANK];
} sextant_shape;

// Element types. Losses are f32; taps and parameters come in the run's compute type; an operation on mixed types is
// an error, and the operation `cast` converts.
enum sextant_dtype {
  // 32-bit float.
  SEXTANT_DTYPE_F32 = 1,
  // 16-bit brain float.
  SEXTANT_DTYPE_BF16 = 2,
  // 16-bit IEEE float.
  SEXTANT_DTYPE_F16 = 3,
  // 64-bit float; only on devices that have it.
  SEXTANT_DTYPE_F64 = 4,
  // Signed integer, in the width that the device uses.
  SEXTANT_DTYPE_INT = 5,
  // Truth values, made by comparisons.
  SEXTANT_DTYPE_BOOL = 6,
};

// Element type of a tensor (sextant_dtype as its number).
typedef uint32_t sextant_dtype_code;

// A handle with what is known of its tensor. A plain value: copying it makes no second tensor.
typedef struct sextant_tensor_ref {
  // The tensor; 0 where there is none.
  sextant_handle handle;
  // Its sextant_dtype.
  sextant_dtype_code dtype;
  // Padding, 0.
  uint32_t reserved;
  // Its shape.
  struct sextant_shape shape;
} sextant_tensor_ref;

// A tensor given to an operation.
typedef struct sextant_operand {
  // The tensor; 0 for an optional operand that is left out.
  sextant_handle handle;
  // 1 if the plugin gives its handle away with this call: the host then moves the tensor instead of
  // sharing it, so that in-place and fused kernels can reuse its memory. The handle is dead after it, even
  // where the operation fails. 0 keeps the handle. A handle that is several operands of one call is given
  // away if any of them says so: the operation still sees it at all of its places.
  uint8_t consumed;
  // Padding, 0.
  uint8_t reserved[7];
} sextant_operand;

// One operation asked of the host. All of it belongs to the plugin, and is read during the call only.
typedef struct sextant_call {
  // sizeof(sextant_call) as the plugin knows it.
  uint64_t size;
  // sextant_step.session.
  uint64_t session;
  // The operation: the number of a sextant_operation.
  uint32_t opcode;
  // Number of `inputs`.
  uint32_t inputs_len;
  // Number of `outputs` that fit.
  uint32_t outputs_len;
  // Line of the author's source, for messages; 0 if unknown.
  uint32_t line;
  // File of the author's source, for messages.
  struct sextant_text file;
  // Operands, in the order of the operation table. Those that may be left out at the end need not be there.
  const struct sextant_operand *inputs;
  // The operation's attribute struct, beginning with its size; null where it has none.
  const void *attributes;
  // Memory for the results, in the order of the table: room for `outputs_len`. Zeroed on failure.
  struct sextant_tensor_ref *outputs;
} sextant_call;

// The host's functions. Lives as long as the process; the same for every instance.
typedef struct sextant_host {
  // sizeof(sextant_host) as the host knows it.
  uint64_t size;
  // The host's SEXTANT_ABI_MAJOR.
  uint32_t abi_major;
  // The host's SEXTANT_ABI_MINOR.
  uint32_t abi_minor;
  // Runs one operation. Not null. `[during guide, on its thread]`; at any other time it fails and does nothing.
  //
  // On success the results are in `call->outputs`. On failure these are zero, the host keeps the first failure of
  // the step in words, and `guide` may go on or return at once, with any status: the host reports that failure. All
  // later operations of the step fail as well, without new words, so that a source may write a chain of operations
  // and look at the end. `call` and what it points to are read during the call only.
  sextant_status (*op)(const struct sextant_call *call);
  // Gives a handle back before the step ends, so that its memory can be reused. Handle 0 is ignored; a handle that
  // is not alive is a failure of the step. Not null. `[during guide, on its thread]`
  sextant_status (*release)(uint64_t session, sextant_handle handle);
  // Writes a line to the host's log: level 1 error, 2 warning, 3 info, any other debug. The text is read during the
  // call only. Not null. `[any time, any thread]`
  void (*log)(uint32_t level, struct sextant_text text);
} sextant_host;

// Meanings of the output of the student and of the frozen networks: they are trained alike.
enum sextant_prediction_kind {
  // The velocity of the path, `d_alpha x + d_sigma n`.
  SEXTANT_PREDICTION_KIND_VELOCITY = 1,
  // The clean latents x.
  SEXTANT_PREDICTION_KIND_DATA = 2,
  // The noise n.
  SEXTANT_PREDICTION_KIND_NOISE = 3,
};

// Meaning of a network's output (sextant_prediction_kind as its number); 0 where the host does not say, before 1.2.
typedef uint32_t sextant_prediction_kind_code;

// Paths between data (t = 0) and noise (t = 1), x_t = alpha x + sigma n. A source that only needs points and coefficients
// of the path asks for SEXTANT_OP_DIFFUSE and SEXTANT_OP_PATH_COEFFICIENTS instead.
enum sextant_path_kind {
  // alpha = 1 - t, sigma = t.
  SEXTANT_PATH_KIND_LINEAR = 1,
  // alpha = cos(pi t / 2), sigma = sin(pi t / 2).
  SEXTANT_PATH_KIND_COSINE = 2,
};

// The way from data to noise (sextant_path_kind as its number); 0 where the host does not say, before 1.2.
typedef uint32_t sextant_path_kind_code;

// Sizes and settings that are fixed before training starts. Belongs to the host; valid during the call.
typedef struct sextant_geometry {
  // sizeof(sextant_geometry) as the host knows it.
  uint64_t size;
  // Samples of one call of `guide` (a micro-batch).
  uint64_t batch;
  // Latent channels C.
  uint64_t channels;
  // Latent height H.
  uint64_t height;
  // Latent width W.
  uint64_t width;
  // Side p of a patch.
  uint64_t patch;
  // Number of classes; the null class is this number.
  uint64_t classes;
  // sextant_network_info of each network that the recipe has; the student always.
  struct sextant_array networks;
  // sextant_field_info of each field of the data.
  struct sextant_array fields;
  // A sextant_prediction_kind; 0 on a host before 1.2. Since 1.2.
  sextant_prediction_kind_code prediction;
  // A sextant_path_kind; 0 on a host before 1.2. Since 1.2.
  sextant_path_kind_code path;
} sextant_geometry;

// Declarations that a source makes before training. What it did not declare is not handed over; what the run cannot give ends
// it before the first step, with the plan's fault in the message.
typedef struct sextant_plan {
  // sizeof(sextant_plan) as the host knows it; a plugin writes no further.
  uint64_t size;
  // The minor version that this plan needs: 0, unless it asks for something that came later. Not the version that
  // the plugin was built with.
  uint32_t required_minor;
  // 1 if the loss of a sample depends on the others of its batch.
  uint8_t batch_coupled;
  // 1 if the loss is exactly 0 outside `[t_min, t_max]`.
  uint8_t has_t_range;
  // Padding, 0.
  uint8_t reserved[2];
  // Lower end, inclusive.
  double t_min;
  // Upper end, inclusive.
  double t_max;
  // sextant_tap values: the student's, in the order in which the step hands them over, and those of other
  // networks, which bound what `forward` may ask.
  struct sextant_array taps;
  // sextant_text values: batch fields that it reads.
  struct sextant_array fields;
  // sextant_parameter_info values.
  struct sextant_array parameters;
  // sextant_buffer_info values.
  struct sextant_array buffers;
  // sextant_text values: names of the scalar metrics that it may return.
  struct sextant_array metrics;
  // sextant_setting_info values: numbers that reports may show. They need no minor version: a host that does not know them shows
  // none. Since 1.2.
  struct sextant_array settings;
} sextant_plan;

// One step, as `guide` sees it. B is the batch. Belongs to the host and is valid, with all that it points to, until
// `guide` returns; so are its handles, which may be released or consumed before.
typedef struct sextant_step {
  // sizeof(sextant_step) as the host knows it.
  uint64_t size;
  // To be passed with every call.
  uint64_t session;
  // The optimiser step, counted from 0.
  uint64_t index;
  // B.
  uint64_t batch;
  // Clean latents `[B, C, H, W]`.
  struct sextant_tensor_ref x;
  // Noise `[B, C, H, W]`.
  struct sextant_tensor_ref noise;
  // The student's input `[B, C, H, W]`.
  struct sextant_tensor_ref x_t;
  // Times `[B]`.
  struct sextant_tensor_ref t;
  // Velocity of the path `[B, C, H, W]`.
  struct sextant_tensor_ref velocity;
  // Labels before dropout `[B]`, integers.
  struct sextant_tensor_ref labels;
  // Labels after dropout `[B]`, integers.
  struct sextant_tensor_ref dropped_labels;
  // sextant_tensor_ref values of the student's taps, in the plan's order.
  struct sextant_array taps;
  // sextant_tensor_ref values of the fields, in the plan's order, each `[B, …]`.
  struct sextant_array fields;
  // sextant_tensor_ref values of the parameters, in the plan's order.
  struct sextant_array parameters;
  // sextant_tensor_ref values of the buffers, in the plan's order.
  struct sextant_array buffers;
  // B identities of the samples.
  const uint64_t *sample_ids;
  // B times, the same as `t`, readable without a synchronisation.
  const float *t_values;
  // B labels before dropout.
  const int64_t *label_values;
  // B labels after dropout.
  const int64_t *dropped_label_values;
} sextant_step;

// The answer of `guide`. The host fills it with its size and zeros; the plugin writes handles of this step, which the
// host takes over.
typedef struct sextant_guided {
  // sizeof(sextant_guided) as the host knows it; a plugin writes no further.
  uint64_t size;
  // Loss per sample, f32 `[B]`. Needed: a source without anything to say gives zeros. The host takes its mean and
  // multiplies it by the recipe's coefficient.
  sextant_handle loss;
  // Optional weight on the denoising loss per sample, f32 `[B]`; 0 for none.
  sextant_handle denoising_weight;
  // sextant_named scalars.
  struct sextant_array metrics;
  // sextant_named new values of buffers.
  struct sextant_array buffers;
} sextant_guided;

// A library's description. Static and never written: it lives as long as the process, as do its texts. The first three
// fields never move, in any version, so that any host can refuse any library with both versions in its message.
//
// An instance is whatever `create` makes of it: the host passes the pointer on and never reads through it. The host
// never calls one instance from two threads at once, but may call it from another thread each time. Different
// instances of a library may be called at the same time from different threads.
//
// None of these functions may unwind, throw or longjmp into the host, or end the process.
typedef struct sextant_descriptor {
  // sizeof(sextant_descriptor) as the plugin knows it.
  uint64_t size;
  // SEXTANT_ABI_MAJOR that the plugin was built with.
  uint32_t abi_major;
  // SEXTANT_ABI_MINOR that the plugin was built with; see sextant_plan.required_minor for what it needs.
  uint32_t abi_minor;
  // The source's name, as recipes write it. Not empty.
  struct sextant_text name;
  // The source's own version.
  struct sextant_text version;
  // One sentence on what it guides towards.
  struct sextant_text summary;
  // Makes an instance from its configuration and writes it to `instance`. Not null. `[any thread]`
  //
  // `config` is a JSON object, the `config` table of the recipe, `{}` where there is none. It is valid during the
  // call only; `host` is valid as long as the process. A key that is unknown or out of range should be a failure
  // whose message names it: it ends the run before training. After a failure there is no instance, and `destroy`
  // is not called.
  sextant_status (*create)(const struct sextant_host *host,
                           struct sextant_text config,
                           void **instance,
                           struct sextant_message *error);
  // Declares what the source needs, for a geometry. Not null. `[after create, not during guide]`
  //
  // The host fills `plan` with its size and zeros; the plugin fills in what it wants and leaves the rest. What the
  // plan points to belongs to the instance, and stays as it is until the next `plan` or `destroy`. `geometry` is
  // valid during the call only. No tensors exist yet. The same geometry must give the same plan. May be called
  // more than once; the last plan counts.
  sextant_status (*plan)(void *instance,
                         const struct sextant_geometry *geometry,
                         struct sextant_plan *plan,
                         struct sextant_message *error);
  // Computes the loss of one step. Not null. `[after plan]`
  //
  // Called for every micro-batch of a step in which the source is active, and now and then for one of them again, for
  // diagnostics and to count its operations; an answer may go unused. Always on the thread on which the host's `op` and
  // `release` must be called until it returns. The loss is a pure function of the step: state belongs into buffers,
  // random numbers come from the operation `random`. `step` and what it points to are valid during the call only.
  // Memory that `guided` points to belongs to the instance and stays as it is until its next call. When it returns,
  // every handle of the step is dead, those in `guided` after the host has taken their tensors.
  sextant_status (*guide)(void *instance,
                          const struct sextant_step *step,
                          struct sextant_guided *guided,
                          struct sextant_message *error);
  // Frees an instance. Cannot fail: what goes wrong can only be logged. Not null. `[last call of an instance]`
  void (*destroy)(void *instance);
  // Describes the configuration: a JSON Schema (draft 2020-12) of an object whose properties are the keys, with types,
  // defaults and descriptions. The text is static, like the descriptor; it should be the same at every call. Null
  // where the library does not describe its configuration. Since 1.1. `[any thread]`
  struct sextant_text (*config_schema)(void);
  // The weight on the loss that was published for a configuration, a JSON object as sextant_descriptor.create gets it. A
  // recipe that names no `coefficient` trains with it; with 0.5 where the source states none. Finite and above 0; or 0
  // where it states none, or where the configuration is none. Null where it never states one. Since 1.2. `[any thread]`
  //
  // It is a function of the configuration because a coefficient is: a bounded cosine and an unbounded squared error of
  // one method have two.
  double (*coefficient)(struct sextant_text config);
} sextant_descriptor;

// Type of the function that a library exports under the name SEXTANT_ENTRY_SYMBOL.
//
// Answers the library's sextant_descriptor, static memory that is the same at every call; null on failure, and the
// library is refused. Since 1.2 a library without a source to give can say why: it answers a descriptor whose four
// functions are null, and whose sextant_descriptor.summary has the words. `[first call into the library, any thread]`
typedef const struct sextant_descriptor *(*sextant_entry)(void);

// Networks whose features a source can read.
enum sextant_network {
  // The network in training: only through taps, whose gradients flow.
  SEXTANT_NETWORK_STUDENT = 0,
  // The frozen network that the recipe names: an earlier phase's.
  SEXTANT_NETWORK_TEACHER = 1,
  // The moving average of the student, as it stood before this step.
  SEXTANT_NETWORK_EMA = 2,
};

// Networks that a plan can ask for (sextant_network as its number).
typedef uint32_t sextant_network_code;

// Kinds of activations.
enum sextant_tap_kind {
  // The output of a block, `[B, T, D]`: depth 1 to N; depth 0 is the embedding, positions included.
  SEXTANT_TAP_KIND_BLOCK = 0,
  // The network's output, `[B, C, H, W]`; its depth is ignored. Of a network other than the student since 1.2.
  SEXTANT_TAP_KIND_OUTPUT = 1,
  // The attention probabilities of a block (after the softmax; rows are queries), `[B, heads, T, T]`: depth 1 to N. Of
  // the student only. Since 1.1.
  SEXTANT_TAP_KIND_ATTENTION = 2,
};

// A kind of activation (sextant_tap_kind as its number).
typedef uint32_t sextant_tap_kind_code;

// One network as a plan may know it.
typedef struct sextant_network_info {
  // The network.
  sextant_network_code network;
  // Number of blocks.
  uint32_t depth;
  // Width D of the tokens.
  uint64_t width;
  // Attention heads of a block.
  uint32_t heads;
  // Tokens before the grid's (class or register tokens); 0 for a SiT.
  uint32_t prefix_tokens;
  // Rows of the token grid.
  uint32_t grid_rows;
  // Columns of the token grid; tokens are ordered row by row.
  uint32_t grid_cols;
} sextant_network_info;

// A batch field that the data set has.
typedef struct sextant_field_info {
  // Its name.
  struct sextant_text name;
  // Its sextant_dtype.
  sextant_dtype_code dtype;
  // Padding, 0.
  uint32_t reserved;
  // Shape of one sample, without the batch dimension.
  struct sextant_shape shape;
} sextant_field_info;

// One activation that a source wants.
typedef struct sextant_tap {
  // The network. Only the student's come with the step; others through the operation `forward`.
  sextant_network_code network;
  // Its kind.
  sextant_tap_kind_code kind;
  // The block; see sextant_tap_kind.
  uint32_t depth;
  // Padding, 0.
  uint32_t reserved;
} sextant_tap;

// Initial values. Drawn by the host, from a stream keyed by seed, instance and name.
enum sextant_init_kind {
  // All elements equal `value`.
  SEXTANT_INIT_KIND_CONSTANT = 0,
  // Xavier-uniform: bound sqrt(6 / (fan_in + fan_out)), fans from dims 1.. and 0 (with the receptive field).
  SEXTANT_INIT_KIND_XAVIER_UNIFORM = 1,
  // Normal with mean 0 and standard deviation `value`.
  SEXTANT_INIT_KIND_NORMAL = 2,
  // Given elements, f32 in row-major order.
  SEXTANT_INIT_KIND_VALUES = 3,
  // Uniform between -`value` and `value`. Since 1.2.
  SEXTANT_INIT_KIND_UNIFORM = 4,
};

// The beginning of a parameter or buffer (sextant_init_kind as its number).
typedef uint32_t sextant_init_kind_code;

// A parameter that the host optimises, clips, checkpoints and moves like the student's.
typedef struct sextant_parameter_info {
  // Its name, unique in the source, such as `mlp.0.weight`: at most 128 bytes without spaces, slashes or control
  // characters, and no empty part between dots. It names the parameter in checkpoints.
  struct sextant_text name;
  // Its shape.
  struct sextant_shape shape;
  // A sextant_init_kind.
  sextant_init_kind_code init;
  // 1 if it is optimised, 0 if it stays as it began.
  uint8_t trainable;
  // Padding, 0.
  uint8_t reserved[3];
  // Parameter of the init.
  double value;
  // f32 elements for SEXTANT_INIT_KIND_VALUES.
  struct sextant_array values;
} sextant_parameter_info;

// Ways in which the replicas of several devices agree on a buffer's new value.
enum sextant_agreement {
  // The mean over ranks.
  SEXTANT_AGREEMENT_MEAN = 0,
  // The rows of all ranks, one after another.
  SEXTANT_AGREEMENT_GATHERED = 1,
  // The same on every rank by construction.
  SEXTANT_AGREEMENT_REPLICATED = 2,
};

// The agreement of ranks on a buffer (sextant_agreement as its number).
typedef uint32_t sextant_agreement_code;

// State that a source keeps between steps, in the host.
typedef struct sextant_buffer_info {
  // Its name, unique in the source.
  struct sextant_text name;
  // Its sextant_dtype.
  sextant_dtype_code dtype;
  // A sextant_agreement.
  sextant_agreement_code agreement;
  // Its shape.
  struct sextant_shape shape;
  // 1 for a buffer of rows, oldest first (a memory bank): fewer rows than it has replace the oldest, and stand last. 0
  // where a new value is the whole.
  uint8_t rows;
  // Padding, 0.
  uint8_t reserved[3];
  // A sextant_init_kind.
  sextant_init_kind_code init;
  // Parameter of the init.
  double value;
  // f32 elements for SEXTANT_INIT_KIND_VALUES.
  struct sextant_array values;
} sextant_buffer_info;

// Meanings of a source's numbers, for reports. A number that a host does not know reads as plain.
enum sextant_setting_meaning {
  // A number with a name.
  SEXTANT_SETTING_MEANING_PLAIN = 0,
  // w of guidance in feature space, f_u + w (f_c - f_u), with the features of the frozen teacher at the one depth that the
  // plan declares, under the sample's own condition (f_c) and under none (f_u).
  SEXTANT_SETTING_MEANING_FEATURE_GUIDANCE = 1,
};

// Meaning of a number to the method (sextant_setting_meaning as its number).
typedef uint32_t sextant_setting_meaning_code;

// A number of the source's that reports may show.
typedef struct sextant_setting_info {
  // Its name, unique among them: that of the key in the configuration, where it is one.
  struct sextant_text name;
  // A sextant_setting_meaning.
  sextant_setting_meaning_code meaning;
  // Padding, 0.
  uint32_t reserved;
  // The number, finite.
  double value;
} sextant_setting_info;

// A tensor for an entry of the plan.
typedef struct sextant_named {
  // Index in the plan's list.
  uint32_t index;
  // Padding, 0.
  uint32_t reserved;
  // The tensor.
  sextant_handle handle;
} sextant_named;

// What a plugin can ask of the host. Below each operation: its operands (`?` may be left out, `*` may repeat), the
// struct that `attributes` points to, if it has one, and its results.
enum sextant_operation {
  // `a + b`, with broadcasting of extents that are 1 (ranks must agree).
  //   (a, b) -> (sum)
  SEXTANT_OP_ADD = 1,
  // `a - b`, with broadcasting.
  //   (a, b) -> (difference)
  SEXTANT_OP_SUB = 2,
  // `a * b`, elementwise, with broadcasting.
  //   (a, b) -> (product)
  SEXTANT_OP_MUL = 3,
  // `a / b`, elementwise, with broadcasting.
  //   (a, b) -> (quotient)
  SEXTANT_OP_DIV = 4,
  // `a + value`.
  //   (a) [sextant_scalar] -> (sum)
  SEXTANT_OP_ADD_SCALAR = 10,
  // `a * value`.
  //   (a) [sextant_scalar] -> (product)
  SEXTANT_OP_MUL_SCALAR = 11,
  // `a ^ value`; for a fractional power a must not be negative.
  //   (a) [sextant_scalar] -> (power)
  SEXTANT_OP_POW_SCALAR = 12,
  // Elements limited to `[min, max]`; the gradient outside is 0.
  //   (a) [sextant_range] -> (limited)
  SEXTANT_OP_CLAMP = 13,
  // `-a`.
  //   (a) -> (result)
  SEXTANT_OP_NEG = 20,
  // `e ^ a`.
  //   (a) -> (result)
  SEXTANT_OP_EXP = 21,
  // Natural logarithm.
  //   (a) -> (result)
  SEXTANT_OP_LOG = 22,
  // Square root.
  //   (a) -> (result)
  SEXTANT_OP_SQRT = 23,
  // Absolute value.
  //   (a) -> (result)
  SEXTANT_OP_ABS = 24,
  // Sine, radians.
  //   (a) -> (result)
  SEXTANT_OP_SIN = 25,
  // Cosine, radians.
  //   (a) -> (result)
  SEXTANT_OP_COS = 26,
  // Hyperbolic tangent.
  //   (a) -> (result)
  SEXTANT_OP_TANH = 27,
  // `1 / (1 + e^-a)`.
  //   (a) -> (result)
  SEXTANT_OP_SIGMOID = 28,
  // `max(a, 0)`.
  //   (a) -> (result)
  SEXTANT_OP_RELU = 29,
  // `a * sigmoid(a)`.
  //   (a) -> (result)
  SEXTANT_OP_SILU = 30,
  // The exact GELU, with the error function.
  //   (a) -> (result)
  SEXTANT_OP_GELU = 31,
  // The error function.
  //   (a) -> (result)
  SEXTANT_OP_ERF = 32,
  // The largest whole number that is not above a; the gradient is 0. Since 1.2.
  //   (a) -> (result)
  SEXTANT_OP_FLOOR = 33,
  // `a == b`, with broadcasting; truth values.
  //   (a, b) -> (mask)
  SEXTANT_OP_EQUAL = 40,
  // `a > b`, with broadcasting; truth values.
  //   (a, b) -> (mask)
  SEXTANT_OP_GREATER = 41,
  // `a >= b`, with broadcasting; truth values.
  //   (a, b) -> (mask)
  SEXTANT_OP_GREATER_EQUAL = 42,
  // `a < b`, with broadcasting; truth values.
  //   (a, b) -> (mask)
  SEXTANT_OP_LOWER = 43,
  // `a <= b`, with broadcasting; truth values.
  //   (a, b) -> (mask)
  SEXTANT_OP_LOWER_EQUAL = 44,
  // `a and b` of two masks of one shape.
  //   (a, b) -> (mask)
  SEXTANT_OP_AND = 45,
  // `a or b` of two masks of one shape.
  //   (a, b) -> (mask)
  SEXTANT_OP_OR = 46,
  // `not a` of a mask.
  //   (a) -> (mask)
  SEXTANT_OP_NOT = 47,
  // `a` where the mask holds, else `b`; one shape for all three.
  //   (mask, a, b) -> (chosen)
  SEXTANT_OP_WHERE = 48,
  // Sum over dimensions; over none left, 0. Reduced dimensions stay with extent 1 if `keep`.
  //   (a) [sextant_dims] -> (result)
  SEXTANT_OP_SUM = 60,
  // Mean over dimensions, none of them empty.
  //   (a) [sextant_dims] -> (result)
  SEXTANT_OP_MEAN = 61,
  // Maximum over dimensions, none of them empty.
  //   (a) [sextant_dims] -> (result)
  SEXTANT_OP_MAX = 62,
  // Minimum over dimensions, none of them empty.
  //   (a) [sextant_dims] -> (result)
  SEXTANT_OP_MIN = 63,
  // Index of the smallest element of a dimension that is not empty; the dimension disappears. Integers. Of equal
  // elements the first on the CPU, any of them elsewhere. Since 1.2.
  //   (a) [sextant_dim] -> (index)
  SEXTANT_OP_ARGMIN = 64,
  // Index of the largest element of a dimension that is not empty; as `argmin`. Since 1.2.
  //   (a) [sextant_dim] -> (index)
  SEXTANT_OP_ARGMAX = 65,
  // The same elements, row by row, in another shape.
  //   (a) [sextant_new_shape] -> (result)
  SEXTANT_OP_RESHAPE = 80,
  // Dimension i of the result is dimension `dims[i]` of a.
  //   (a) [sextant_dims] -> (result)
  SEXTANT_OP_PERMUTE = 81,
  // Repeats dimensions of extent 1 to the extents given.
  //   (a) [sextant_new_shape] -> (result)
  SEXTANT_OP_EXPAND = 82,
  // Elements `start`, `start + step`, … below `end` of a dimension.
  //   (a) [sextant_slice] -> (part)
  SEXTANT_OP_SLICE = 83,
  // Tensors joined along a dimension.
  //   (part*) [sextant_dim] -> (whole)
  SEXTANT_OP_CONCAT = 84,
  // Rows of a dimension, by number: `result[i] = a[rows[i]]`.
  //   (a, rows) [sextant_dim] -> (chosen)
  SEXTANT_OP_GATHER = 85,
  // The reverse of gather: zeros with `count` rows, to which row `rows[i]` gains `a[i]`.
  //   (a, rows) [sextant_scatter_to] -> (result)
  SEXTANT_OP_SCATTER = 86,
  // Matrix product over the last two dimensions; the dimensions before must agree or be 1.
  //   (a, b) -> (product)
  SEXTANT_OP_MATMUL = 100,
  // `x @ weight^T + bias`; weight is `[out, in]`, as in PyTorch; x is `[…, in]`.
  //   (x, weight, bias?) -> (y)
  SEXTANT_OP_LINEAR = 101,
  // softmax(q k^T * scale) v on `[B, heads, T, width]`.
  //   (q, k, v) [sextant_scalar] -> (result)
  SEXTANT_OP_ATTENTION = 102,
  // (x - mean) / sqrt(variance + eps) over the last dimension (biased variance), then an optional affine map.
  //   (x, weight?, bias?) [sextant_scalar] -> (result)
  SEXTANT_OP_LAYER_NORM = 103,
  // Softmax along a dimension.
  //   (a) [sextant_dim] -> (result)
  SEXTANT_OP_SOFTMAX = 104,
  // Logarithm of the softmax along a dimension.
  //   (a) [sextant_dim] -> (result)
  SEXTANT_OP_LOG_SOFTMAX = 105,
  // 2-D convolution of `[B, C, H, W]` with weight `[out, C/groups, kh, kw]`.
  //   (x, weight, bias?) [sextant_conv2d] -> (y)
  SEXTANT_OP_CONV2D = 106,
  // `[B, C, H, W]` resized, without antialiasing.
  //   (x) [sextant_interpolate] -> (y)
  SEXTANT_OP_INTERPOLATE = 107,
  // A tensor of one value.
  //   () [sextant_full] -> (result)
  SEXTANT_OP_FULL = 120,
  // Numbers of the plugin's, copied to the device.
  //   () [sextant_upload] -> (result)
  SEXTANT_OP_UPLOAD = 121,
  // Draws for each sample of the batch, `[B, …]`, a function of seed, instance, step, sample id and tag alone.
  //   () [sextant_random] -> (draws)
  SEXTANT_OP_RANDOM = 122,
  // Another element type. Differentiable between floats; masks become 0 and 1.
  //   (a) [sextant_cast] -> (result)
  SEXTANT_OP_CAST = 123,
  // The same numbers, outside the autodiff graph for good.
  //   (a) -> (result)
  SEXTANT_OP_DETACH = 124,
  // Copies a tensor to the plugin's memory. A SYNCHRONISATION: the device's queue drains first.
  //   (a) [sextant_download] -> ()
  SEXTANT_OP_DOWNLOAD = 125,
  // Activations of a frozen network, several taps in one pass and no deeper than the deepest; no gradients. Row i of
  // the inputs belongs to sample `rows[i]` of the batch, whose condition is used as `conditions[i]` says. One result
  // per depth, in the order asked; where its kind is the output, `[R, C, H, W]` instead of tokens.
  //   (x_t, t) [sextant_forward] -> (features*)
  SEXTANT_OP_FORWARD = 140,
  // x_t of the path: `alpha(t) x + sigma(t) n`, for x and n `[R, …]` and t `[R]`.
  //   (x, n, t) -> (x_t)
  SEXTANT_OP_DIFFUSE = 141,
  // alpha, sigma and their derivatives by t, each of t's shape `[R]`.
  //   (t) -> (alpha, sigma, d_alpha, d_sigma)
  SEXTANT_OP_PATH_COEFFICIENTS = 142,
};

// Attribute: one number.
typedef struct sextant_scalar {
  // sizeof(sextant_scalar).
  uint64_t size;
  // The number: addend, factor, power, eps or scale.
  double value;
} sextant_scalar;

// Attribute: a closed interval.
typedef struct sextant_range {
  // sizeof(sextant_range).
  uint64_t size;
  // Lower end; may be -inf.
  double min;
  // Upper end; may be +inf.
  double max;
} sextant_range;

// Attribute: one dimension, counted from 0.
typedef struct sextant_dim {
  // sizeof(sextant_dim).
  uint64_t size;
  // The dimension.
  uint32_t dim;
  // Padding, 0.
  uint32_t reserved;
} sextant_dim;

// Attribute: several dimensions, counted from 0.
typedef struct sextant_dims {
  // sizeof(sextant_dims).
  uint64_t size;
  // Number of them.
  uint32_t len;
  // 1 if reduced dimensions stay with extent 1.
  uint8_t keep;
  // Padding, 0.
  uint8_t reserved[3];
  // The dimensions.
  uint32_t dims[SEXTANT_MAX_RANK];
} sextant_dims;

// Attribute: a shape.
typedef struct sextant_new_shape {
  // sizeof(sextant_new_shape).
  uint64_t size;
  // The shape.
  struct sextant_shape shape;
} sextant_new_shape;

// Attribute: part of a dimension.
typedef struct sextant_slice {
  // sizeof(sextant_slice).
  uint64_t size;
  // The dimension.
  uint32_t dim;
  // Padding, 0.
  uint32_t reserved;
  // First element.
  uint64_t start;
  // One past the last element.
  uint64_t end;
  // Distance of two elements, at least 1.
  uint64_t step;
} sextant_slice;

// Attribute: where rows go.
typedef struct sextant_scatter_to {
  // sizeof(sextant_scatter_to).
  uint64_t size;
  // The dimension.
  uint32_t dim;
  // Padding, 0.
  uint32_t reserved;
  // Its extent in the result.
  uint64_t count;
} sextant_scatter_to;

// Attribute: a convolution's shape. Each pair is vertical, horizontal.
typedef struct sextant_conv2d {
  // sizeof(sextant_conv2d).
  uint64_t size;
  // Steps.
  uint64_t stride[2];
  // Zeros around.
  uint64_t padding[2];
  // Distance of the kernel's elements.
  uint64_t dilation[2];
  // Groups of channels.
  uint64_t groups;
} sextant_conv2d;

// Ways of interpolation.
enum sextant_interpolation {
  // Nearest pixel.
  SEXTANT_INTERPOLATION_NEAREST = 0,
  // Linear in both directions.
  SEXTANT_INTERPOLATION_BILINEAR = 1,
  // Cubic in both directions.
  SEXTANT_INTERPOLATION_BICUBIC = 2,
};

// Reading between pixels for SEXTANT_OP_INTERPOLATE (sextant_interpolation as its number).
typedef uint32_t sextant_interpolation_code;

// Attribute: a new size.
typedef struct sextant_interpolate {
  // sizeof(sextant_interpolate).
  uint64_t size;
  // New height.
  uint64_t height;
  // New width.
  uint64_t width;
  // A sextant_interpolation.
  sextant_interpolation_code mode;
  // 1 if the centres of the corner pixels are fixed, 0 if the outer corners are.
  uint8_t align_corners;
  // Padding, 0.
  uint8_t reserved[3];
} sextant_interpolate;

// Attribute: a tensor of one value.
typedef struct sextant_full {
  // sizeof(sextant_full).
  uint64_t size;
  // The value.
  double value;
  // A sextant_dtype.
  sextant_dtype_code dtype;
  // Padding, 0.
  uint32_t reserved;
  // The shape.
  struct sextant_shape shape;
} sextant_full;

// Attribute: numbers in the plugin's memory, row-major: f32 for floats, i64 for integers, u8 for masks.
typedef struct sextant_upload {
  // sizeof(sextant_upload).
  uint64_t size;
  // A sextant_dtype.
  sextant_dtype_code dtype;
  // Padding, 0.
  uint32_t reserved;
  // The shape.
  struct sextant_shape shape;
  // The elements; only read during the call.
  struct sextant_array data;
} sextant_upload;

// Distributions of SEXTANT_OP_RANDOM.
enum sextant_distribution {
  // Standard normal.
  SEXTANT_DISTRIBUTION_NORMAL = 0,
  // Uniform on [0, 1).
  SEXTANT_DISTRIBUTION_UNIFORM = 1,
};

// A distribution (sextant_distribution as its number).
typedef uint32_t sextant_distribution_code;

// Attribute: what to draw.
typedef struct sextant_random {
  // sizeof(sextant_random).
  uint64_t size;
  // A sextant_distribution.
  sextant_distribution_code distribution;
  // Padding, 0.
  uint32_t reserved;
  // Names the draw: the same tag gives the same numbers, whatever was drawn before.
  struct sextant_text tag;
  // Shape of one sample, without the batch dimension.
  struct sextant_shape shape;
} sextant_random;

// Attribute: an element type.
typedef struct sextant_cast {
  // sizeof(sextant_cast).
  uint64_t size;
  // A sextant_dtype.
  sextant_dtype_code dtype;
  // Padding, 0.
  uint32_t reserved;
} sextant_cast;

// Attribute: where a tensor's elements go: f32 for floats, i64 for integers, u8 for masks.
typedef struct sextant_download {
  // sizeof(sextant_download).
  uint64_t size;
  // Memory for the elements.
  uint8_t *data;
  // Its size in bytes; an error if it is not exactly the tensor's.
  uint64_t bytes;
} sextant_download;

// Conditions. What a condition is (a label now, text later) stays the host's.
enum sextant_condition {
  // The sample's own, before dropout.
  SEXTANT_CONDITION_OWN = 0,
  // The null condition.
  SEXTANT_CONDITION_NULL = 1,
  // The sample's own, or null where dropout took it.
  SEXTANT_CONDITION_DROPPED = 2,
};

// The condition of a row of SEXTANT_OP_FORWARD (sextant_condition as its number).
typedef uint32_t sextant_condition_code;

// Attribute: a forward pass of another network.
typedef struct sextant_forward {
  // sizeof(sextant_forward).
  uint64_t size;
  // A sextant_network that the plan declared, not the student.
  sextant_network_code network;
  // Padding, 0.
  uint32_t reserved;
  // uint32_t depths, each declared as a tap of this network.
  struct sextant_array depths;
  // uint32_t numbers of the samples in the batch, one per row of the inputs.
  struct sextant_array rows;
  // uint32_t sextant_condition values, one per row of the inputs.
  struct sextant_array conditions;
  // uint32_t sextant_tap_kind values, one per depth: a block, or the output, whose depth is ignored. Empty where all are blocks.
  // Since 1.2.
  struct sextant_array kinds;
} sextant_forward;

// Put before the definition of the entry, so that the library exports it.
#if defined(_WIN32)
#define SEXTANT_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define SEXTANT_EXPORT __attribute__((visibility("default")))
#else
#define SEXTANT_EXPORT
#endif

// Name of the one function that a library must export, of type sextant_entry.
#define SEXTANT_ENTRY_SYMBOL "sextant_guidance_entry"

SEXTANT_EXPORT const sextant_descriptor *sextant_guidance_entry(void);

#ifdef __cplusplus
} // extern "C"
#endif

#endif  /* SEXTANT_GUIDANCE_H */
