//! Inception v3 as pytorch-fid patches it, whose pool3 features FID is measured in; frozen, and read from pytorch-fid's own file.

mod architecture;
mod base;
mod file;

pub use base::Inception;
pub use file::weights_file;

#[cfg(test)]
mod tests;
