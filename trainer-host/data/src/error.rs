//! Errors of loading data.

/// An error in the data section of a recipe, or in the data itself.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The set does not come in this size.
    #[error("data.size = {wanted} is not available; sizes of this set: {}", join(available))]
    Size {
        /// The size that the recipe asks for.
        wanted: usize,
        /// The sizes that would work.
        available: Vec<usize>,
    },
    /// An asset compiled into the binary cannot be read: a broken build.
    #[error("embedded data is damaged: {0}")]
    Embedded(String),
    /// The set or its split is of no use for training.
    #[error("{0}")]
    Unusable(String),
    /// A batch field's values do not fit its shape and the number of images.
    #[error(
        "batch field \"{name}\" holds {found} values; {count} images of shape {shape:?} need {}",
        count * shape.iter().product::<usize>()
    )]
    Field {
        /// The field.
        name: String,
        /// Shape of one sample.
        shape: Vec<usize>,
        /// Number of images in the set.
        count: usize,
        /// Number of values given.
        found: usize,
    },
    /// A field that is not there.
    #[error("the data has no batch field \"{0}\"")]
    NoField(String),
    /// Latents where pixels are needed.
    #[error("the data are latents of an autoencoder: pictures of them need its decoder")]
    NeedsDecoder,
    /// A kind of data that a recipe may name but this version cannot read.
    #[error("{0}")]
    NotBuilt(String),
    /// The thread that prepares batches is gone.
    #[error("the loader's thread died after {done} of {total} steps; its panic is on standard error")]
    LoaderDied {
        /// Steps that it delivered.
        done: u64,
        /// Steps that were wanted.
        total: u64,
    },
}

fn join(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
