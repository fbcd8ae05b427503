//! Faults of a pickle.

/// Fault of bytes that are no pickle that is read here.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    /// The bytes end within an instruction, or before the last one.
    #[error("the pickle ends at byte {0}, before its end")]
    Truncated(usize),
    /// An instruction that `torch.save` does not write.
    #[error("byte {at} of the pickle is {code:#04x}, an instruction that torch.save does not write")]
    Instruction {
        /// Its place.
        at: usize,
        /// Its code.
        code: u8,
    },
    /// A name that is not one of a checkpoint's.
    #[error(
        "the pickle asks for `{0}`, and nothing of a pickle is executed here: tensors, dictionaries, numbers, text and \
         argparse.Namespace are read. Where you trust the file, load it in Python and save its state dicts alone: \
         torch.save({{\"model\": …, \"ema\": …}}, path)"
    )]
    Refused(String),
    /// An instruction that does not fit what stands before it.
    #[error("byte {at} of the pickle does not fit what stands before it: {wanted} is wanted there")]
    Order {
        /// Place of the instruction.
        at: usize,
        /// The operands that it takes.
        wanted: &'static str,
    },
}
